"""Words, units, geometry, tables, flags and files: what every other wing stands on."""
