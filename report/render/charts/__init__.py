"""Charts: one style, safe for colour-blind readers, the same bytes for the same numbers."""
