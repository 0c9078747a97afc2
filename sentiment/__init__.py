"""Train, resume and evaluate sentiment classifiers on tweets.

`SentimentClassifier`, `load` and `train` are the public API (`sentiment.api`). They are imported lazily, so that
`import sentiment` is fast.
"""

import importlib
from typing import Any

__version__ = "1.0.0.dev0"
__all__ = ["SentimentClassifier", "__version__", "load", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("sentiment.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
