"""Classifiers: token vectors, an encoder, pooling, one logit; and the linear baseline that each has to beat."""
