"""Which tweets the models of runs know: those that they were trained on or chosen by, and others of their authors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.data.corpus.corpus import open_corpus
from sentiment.data.corpus.split import TRAIN, UNKNOWN, VALIDATION
from sentiment.run_dir import RunDir
from sentiment.whole_run import read_whole

Keys = npt.NDArray[np.int64]


class _Known(NamedTuple):
    keys: Keys
    authors: Keys


@dataclass(frozen=True)
class KnownTweets:
    """Keys of tweets and authors, see `sentiment.data.corpus.split`; those of test parts are not among them."""

    trained: _Known
    validation: _Known

    @classmethod
    def of(cls, run_dirs: Sequence[RunDir]) -> "KnownTweets":
        """Those of all these runs, and of the members of combinations, from their corpora.

        Raises:
            DataError: a corpus is no longer there.
            RunDirError: the record of a run is missing or damaged.
        """
        corpora = [
            open_corpus(run_dir.results.corpus_dir(fingerprint))
            for run_dir, fingerprint in set(_fingerprints(run_dirs))
        ]
        found = []
        for part in (TRAIN, VALIDATION):
            keys = np.concatenate([corpus.keys[corpus.parts == part] for corpus in corpora])
            authors = np.concatenate([corpus.authors[corpus.parts == part] for corpus in corpora])
            found.append(_Known(np.unique(keys), np.setdiff1d(authors, [UNKNOWN])))
        return cls(*found)

    def reasons(self, keys: Keys, authors: Keys) -> list[str | None]:
        """Why a tweet is no test of the models; None if they know neither it nor its author.

        Args:
            keys: (n,) of the tweets.
            authors: (n,) of their authors.
        """
        found: list[str | None] = [None] * len(keys)
        for tells, column, known in (
            (
                "the author's other tweets were validation tweets, by which the model was chosen",
                authors,
                self.validation.authors,
            ),
            ("the model was trained on other tweets of the author", authors, self.trained.authors),
            ("was a validation tweet, by which the model was chosen", keys, self.validation.keys),
            ("the model was trained on it", keys, self.trained.keys),
        ):
            for number in np.flatnonzero(np.isin(column, known)).tolist():
                found[number] = tells
        return found


def _fingerprints(run_dirs: Sequence[RunDir]) -> Iterator[tuple[RunDir, str]]:
    for run_dir in run_dirs:
        run = read_whole(run_dir)
        if run.config.combination is not None:
            yield from _fingerprints([RunDir(run_dir.results.runs / place) for place in run.config.combination.members])
        elif run.record is not None:
            yield run_dir, run.record.data_fingerprint
