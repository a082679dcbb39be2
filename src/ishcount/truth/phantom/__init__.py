"""Phantom slides of skin with exact truth; no code is shared with the detector."""
