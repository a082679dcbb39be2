"""What people open: workbook, figures, report as HTML and PDF. Reads results; changes none."""
