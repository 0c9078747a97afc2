"""From raw tweets to trained, resumable and honestly measured sentiment classifiers.

`SentimentClassifier`, `load` and `train` are the program as a library (`sentiment.api`); they are imported when they
are asked for, so that `import sentiment` takes no time.
"""

import importlib
from typing import Any

__version__ = "1.0.0.dev0"
__all__ = ["SentimentClassifier", "__version__", "load", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("sentiment.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
