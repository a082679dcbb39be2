"""Whole-slide images: opened by content, read tile by tile, never written."""
