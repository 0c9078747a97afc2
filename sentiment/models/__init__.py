"""Classifiers: token vectors, an encoder, pooling, one logit; and the linear floor that each has to beat."""
