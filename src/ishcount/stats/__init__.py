"""Numbers in, numbers out: comparisons, rates, agreement and planning. Knows no slides."""
