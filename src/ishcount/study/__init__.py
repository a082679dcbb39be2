"""Many slides: the sheet, the workers behind one seam, the lock, what is kept and what is redone."""
