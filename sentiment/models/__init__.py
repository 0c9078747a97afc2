"""Neural classifiers from token vectors to logits, the linear baseline, and their common interface for texts.

May import `encoders` and the layers below it (see `tests/test_imports.py`).
"""
