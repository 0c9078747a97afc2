"""Comparisons and statistics over what was read; no formatting."""
