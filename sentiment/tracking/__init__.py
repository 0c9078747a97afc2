"""Everything that knows Weights & Biases: copies of the metric log, which stays the source of truth."""
