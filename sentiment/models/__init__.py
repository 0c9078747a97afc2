"""Neural classifiers from token vectors to logits, the linear baseline, and their common interface for texts.

May import `encoders` and what lies below it.
"""
