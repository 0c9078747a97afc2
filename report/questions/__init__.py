"""The questions of a study: each file holds the numbers, sentences and figures of one or two questions."""
