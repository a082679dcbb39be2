"""Figures for a paper: every patient shown, zeros visible, vector and 300 dpi, the same bytes every time."""
