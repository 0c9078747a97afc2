"""The work on single tweets (hash, part, tokens), which any number of processes can share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.config import DataConfig
from sentiment.data.corpus.split import SECOND_TEST, TRAIN, folded_part_code, identify, normalise, part_code
from sentiment.data.text.tokenizer import Tokenizer

Role = Literal["tweets", "second test set", "further training tweets"]
"""What a file is read for."""
ALL_KEPT, ROW_LIMIT, TRAIN_LIMIT = range(3)
"""Whether a row is left out, and by which limit: of all rows, or of the training part."""


class DigestRequest(NamedTuple):
    """A batch of rows to digest, as plain lists, which are sent to another process quickly."""

    texts: Sequence[str]
    users: Sequence[str | None]
    role: Role
    bound: float
    """Rows whose thinning number (see `split.Identity`) is not below this are left out."""
    train_bound: float
    """The same for rows of the training part."""


@dataclass(frozen=True)
class Digest:
    """A batch of rows as compact arrays, in the order of the rows."""

    keys: npt.NDArray[np.int64]  # (rows,), equal for the same tweet
    parts: npt.NDArray[np.int8]  # (rows,)
    limits: npt.NDArray[np.int8]  # (rows,), ALL_KEPT or the limit by which a row is left out; such rows have no tokens
    lengths: npt.NDArray[np.int64]  # (rows,)
    token_ids: npt.NDArray[np.int32]  # (tokens,), index into `types`
    types: list[str]  # of this batch


class Digester:
    """Digests batches as a configuration says; it keeps a cache of words between batches."""

    def __init__(self, config: DataConfig) -> None:
        self._config = config
        self._tokenizer = Tokenizer(config.text)

    def __call__(self, job: DigestRequest) -> Digest:
        """Hash each row, assign it to a part, and tokenise it."""
        size = len(job.texts)
        keys, limits = [0] * size, [ALL_KEPT] * size
        parts = [TRAIN if job.role == "further training tweets" else SECOND_TEST] * size
        lengths = [0] * size
        token_ids: list[int] = []
        index: dict[str, int] = {}
        for number, (text, user) in enumerate(zip(job.texts, job.users, strict=True)):
            normalised = normalise(text)
            keys[number], thinning = identify(normalised)
            if thinning >= job.bound:
                limits[number] = ROW_LIMIT
                continue
            if job.role == "tweets":
                parts[number] = self._part_code(user, normalised)
            if parts[number] == TRAIN and thinning >= job.train_bound:
                limits[number] = TRAIN_LIMIT
                continue
            tokens = self._tokenizer(text)
            lengths[number] = len(tokens)
            token_ids += [index.setdefault(token, len(index)) for token in tokens]
        return Digest(
            keys=np.array(keys, np.int64),
            parts=np.array(parts, np.int8),
            limits=np.array(limits, np.int8),
            lengths=np.array(lengths, np.int64),
            token_ids=np.array(token_ids, np.int32),
            types=list(index),
        )

    def _part_code(self, user: str | None, normalised: str) -> int:
        config = self._config
        if config.folds is not None and config.fold is not None:
            return folded_part_code(user, normalised, config.folds, config.fold, config.validation_fraction)
        return part_code(user, normalised, config.validation_fraction, config.test_fraction)


_digester: Digester | None = None


def start_worker(config: DataConfig) -> None:
    """Make this process a worker."""
    global _digester
    _digester = Digester(config)


def digest_in_worker(job: DigestRequest) -> Digest:
    """Digest a batch in a process that `start_worker` has prepared."""
    if _digester is None:
        raise RuntimeError("start_worker has not been called in this process")
    return _digester(job)
