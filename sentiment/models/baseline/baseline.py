"""The baselines of a corpus: fitted once, kept in its folder, and handed to all runs on the same tweets."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.console import Progress, silent
from sentiment.data.corpus.corpus import Corpus
from sentiment.data.text.token_rows import TokenRows
from sentiment.errors import RunDirError
from sentiment.files import sha256_of, write_atomically, write_json
from sentiment.lock import patient_lock
from sentiment.models.baseline.linear_model import LinearModel

# Raise it when the recipe changes, so that a cached baseline of the old recipe is not used.
_VERSION = 4


@dataclass(frozen=True)
class Baseline:
    """The linear baseline of a corpus: what it says of all rows, and the model itself."""

    probabilities: npt.NDArray[np.float32]  # (rows,) of positive sentiment
    model: LinearModel

    @property
    def settings(self) -> dict[str, Any]:
        """How it was made, for the record."""
        return self.model.settings


def has_baseline(corpus: Corpus) -> bool:
    """Whether the baseline of a corpus has been fitted."""
    return _Cached(corpus).record.exists()


def linear_baseline(corpus: Corpus, progress: Progress = silent) -> Baseline:
    """The baseline, fitted on the training part and evaluated on all rows; it is cached in the corpus's folder.

    If several processes ask at once, one fits and the others wait. A damaged one is fitted again.
    """
    cached = _Cached(corpus)
    if (baseline := cached.read()) is not None:
        return baseline
    with patient_lock(cached.lock, "fits the linear baseline", lambda who: progress(who, 0, None)):
        return cached.read() or _fit(corpus, cached, progress)


class _Cached:
    """Its files in the folder of the corpus."""

    def __init__(self, corpus: Corpus) -> None:
        name = f"baseline-{_VERSION}"
        self.lock = corpus.path / f"{name}.lock"
        self.model = corpus.path / f"{name}.safetensors"
        self.scores = corpus.path / f"{name}.npy"
        self.record = corpus.path / f"{name}.json"
        """Written last: with it, the baseline is complete."""

    def read(self) -> Baseline | None:
        """The baseline; None if it is not there or damaged."""
        try:
            checksums = json.loads(self.record.read_bytes())
            if any(sha256_of(path) != checksums[path.name] for path in (self.model, self.scores)):
                return None
            return Baseline(np.load(self.scores), LinearModel.read(self.model))
        except (OSError, ValueError, KeyError, TypeError, RunDirError):
            return None

    def write(self, baseline: Baseline) -> None:
        """Write all files."""
        write_atomically(self.model, baseline.model.write)
        write_atomically(self.scores, lambda file: np.save(file, baseline.probabilities))
        write_json(self.record, {path.name: sha256_of(path) for path in (self.model, self.scores)})


def _fit(corpus: Corpus, cached: _Cached, progress: Progress) -> Baseline:
    from sentiment.models.baseline.fitting import fit_linear_model

    progress("fitting the linear baseline", 0, None)
    model = fit_linear_model(corpus, progress)
    rows = TokenRows(corpus.types, corpus.token_ids, corpus.offsets)
    baseline = Baseline(model.probabilities(rows).astype(np.float32), model)
    cached.write(baseline)
    return baseline
