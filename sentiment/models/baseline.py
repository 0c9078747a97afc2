"""The linear baseline that every network has to beat: logistic regression on TF-IDF of words and word pairs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.console import Progress, silent
from sentiment.data.corpus.corpus import Corpus
from sentiment.files import write_atomically, write_json
from sentiment.lock import patient_lock

# Raise it when the recipe changes, so that a cached baseline of the old recipe is not used.
_VERSION = 1
_STRENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # values of C (inverse L2 penalty), chosen on the validation part
_TINY = 100  # with fewer training rows, words that occur only once are features as well
_LARGE = 200_000  # with at least as many training rows, C is not searched
_STRENGTH_FOR_LARGE = 2.0


@dataclass(frozen=True)
class Baseline:
    """The predictions of the linear model on a corpus."""

    probabilities: npt.NDArray[np.float32]  # (rows,) of positive sentiment
    settings: dict[str, Any]


def has_baseline(corpus: Corpus) -> bool:
    """Whether the baseline of a corpus has been fitted."""
    return _settings_file(corpus).exists()


def linear_baseline(corpus: Corpus, progress: Progress = silent) -> Baseline:
    """The baseline, fitted on the training part and evaluated on all rows; it is cached in the corpus's folder.

    The L2 penalty is the one with the best validation accuracy, as the best epoch of a network is. If several processes
    ask at once, one fits and the others wait.
    """
    scores_file = corpus.path / f"baseline-{_VERSION}.npy"
    if not has_baseline(corpus):
        lock_file = corpus.path / f"baseline-{_VERSION}.lock"
        with patient_lock(lock_file, "fits the linear baseline", lambda who: progress(who, 0, None)):
            if not has_baseline(corpus):
                progress("fitting the linear baseline", 0, None)
                baseline = _fit(corpus)
                write_atomically(scores_file, lambda file: np.save(file, baseline.probabilities))
                write_json(_settings_file(corpus), baseline.settings)
    return Baseline(np.load(scores_file), json.loads(_settings_file(corpus).read_bytes()))


def _settings_file(corpus: Corpus) -> Path:
    """The file that is written last: with it, the baseline is complete."""
    return corpus.path / f"baseline-{_VERSION}.json"


def _fit(corpus: Corpus) -> Baseline:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train, validation = corpus.rows("train"), corpus.rows("validation")
    vectorizer = TfidfVectorizer(
        tokenizer=corpus.tokens,
        preprocessor=int,
        token_pattern=None,
        lowercase=False,
        ngram_range=(1, 2),
        # In a handful of tweets, perhaps no word occurs twice.
        min_df=2 if len(train) >= _TINY else 1,
        sublinear_tf=True,
        dtype=np.float32,
    )
    features = vectorizer.fit_transform(train)
    validation_features = vectorizer.transform(validation)
    fits = []
    for strength in _STRENGTHS if len(train) < _LARGE else (_STRENGTH_FOR_LARGE,):
        model = LogisticRegression(C=strength, max_iter=1000, solver="liblinear", random_state=0)
        model.fit(features, corpus.labels[train])
        fits.append((model.score(validation_features, corpus.labels[validation]), -strength, model))
    _, strength, best = max(fits, key=lambda fit: fit[:2])
    everything = vectorizer.transform(np.arange(len(corpus.labels)))
    settings = {
        "C": -strength,
        "ngrams": [1, 2],
        "min_df": vectorizer.min_df,
        "sublinear_tf": True,
        "features": features.shape[1],
    }
    return Baseline(best.predict_proba(everything)[:, 1].astype(np.float32), settings)
