"""Phantoms with exact truth, and the scoring of results against truth or a hand count."""
