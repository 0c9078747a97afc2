"""Train, resume and evaluate sentiment classifiers on tweets.

`SentimentClassifier`, `load` and `train` are the public API (`sentiment.api`). They are imported lazily, so that
`import sentiment` is fast. From a tweet to a prediction:

    a row of a table            data/sources.py, data/table.py, data/rows.py
    -> tokens                   data/text.py
    -> token ids, and a part    data/vocabulary.py, data/corpus.py (train, validation or test)
    -> batches                  encoders/batches.py
    -> vectors                  models/classifier.py learns them, or encoders/
    -> logits                   models/classifier.py
    -> steps and checkpoints    training/trainer.py, training/checkpoint.py
    -> a run's directory        training/experiment.py, runs/run_dir.py
    -> a probability            models/text_model.py (baselines: models/baseline.py, models/lexicon.py)
    -> a label                  predicting/stored.py, predicting/files.py
    -> answers to compare       answers/table.py, answers/evaluate.py
"""

import importlib
from typing import Any

__all__ = ["SentimentClassifier", "__version__", "load", "train"]


def __getattr__(name: str) -> Any:
    if name == "__version__":  # a release alone makes no other code of what caches hold, see `runs.code_version`
        return importlib.import_module("sentiment.version").__version__
    if name in __all__:
        return getattr(importlib.import_module("sentiment.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
