"""The work on single tweets (hash, part, tokens), which any number of processes can share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.config import DataConfig
from sentiment.data.corpus.split import (
    TRAIN,
    TweetForms,
    author_form,
    author_key,
    folded_part_code,
    key_of,
    part_code,
    thinning_of,
)
from sentiment.data.text.tokenizer import Tokenizer

ALL_KEPT, ROW_LIMIT, TRAIN_LIMIT = range(3)
"""Whether a row is left out, and by which limit: of all rows, or of the training part."""


class DigestRequest(NamedTuple):
    """A batch of rows to digest, as plain lists, which are sent to another process quickly."""

    texts: Sequence[str]
    users: Sequence[str | None]
    part: int | None
    """Of all rows; None divides them into parts."""
    bound: float
    """Rows whose thinning number (see `split.thinning_of`) is not below this are left out."""
    train_bound: float
    """The same for rows of the training part."""


@dataclass(frozen=True)
class Digest:
    """A batch of rows as compact arrays, in the order of the rows."""

    keys: npt.NDArray[np.int64]  # (rows,), equal for the same tweet
    authors: npt.NDArray[np.int64]  # (rows,), equal for the same author, or split.UNKNOWN
    parts: npt.NDArray[np.int8]  # (rows,)
    limits: npt.NDArray[np.int8]  # (rows,), ALL_KEPT, or the limit that leaves a row out, with its tokens
    lengths: npt.NDArray[np.int64]  # (rows,)
    token_ids: npt.NDArray[np.int32]  # (tokens,), index into `types`
    types: list[str]  # of this batch


class Digester:
    """Digests batches as a configuration says; it keeps a cache of words between batches."""

    def __init__(self, config: DataConfig) -> None:
        self._config = config
        self._tokenizer = Tokenizer(config.text)
        self._forms = TweetForms(beside=self._tokenizer)

    def __call__(self, job: DigestRequest) -> Digest:
        """Tokenise each row, hash it, and assign it to a part."""
        tokens = list(map(self._tokenizer, job.texts))
        forms = list(map(self._forms.of, job.texts, tokens))
        authors = list(map(author_form, job.users))
        keys = np.array(list(map(key_of, forms)), np.int64)
        parts, thinning = self._parts(job.part, authors, forms), thinning_of(keys)
        limits = np.where((parts == TRAIN) & (thinning >= job.train_bound), TRAIN_LIMIT, ALL_KEPT)
        limits[thinning >= job.bound] = ROW_LIMIT
        token_ids: list[int] = []
        index: dict[str, int] = {}
        for number in np.flatnonzero(limits == ALL_KEPT).tolist():
            token_ids += [index.setdefault(token, len(index)) for token in tokens[number]]
        return Digest(
            keys=keys,
            authors=np.array(list(map(author_key, authors)), np.int64),
            parts=parts,
            limits=limits.astype(np.int8),
            lengths=np.array(list(map(len, tokens)), np.int64),
            token_ids=np.array(token_ids, np.int32),
            types=list(index),
        )

    def _parts(self, part: int | None, authors: Sequence[str], forms: Sequence[str]) -> npt.NDArray[np.int8]:
        config = self._config
        if part is not None:
            return np.full(len(forms), part, np.int8)
        whose, share = zip(authors, forms, strict=True), config.validation_fraction
        if config.folds is not None and config.fold is not None:
            folds, fold = config.folds, config.fold
            codes = [folded_part_code(author, form, folds, fold, share) for author, form in whose]
        else:
            codes = [part_code(author, form, share, config.test_fraction) for author, form in whose]
        return np.array(codes, np.int8)


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
