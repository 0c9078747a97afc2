"""The questions of a study: each file holds the numbers, the sentence and the figure of one question."""
