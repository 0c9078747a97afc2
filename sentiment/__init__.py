"""From raw tweets to trained, resumable and honestly measured sentiment classifiers."""

__version__ = "0.2.0"
