"""The same tweets in corpora that were made apart: cleaned in different ways, for example."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from report.read.predictions import Located
from report.read.tweets import read_identities
from sentiment.runs.run_dir import Results

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CommonTweets:
    """The tweets that two runs have in common."""

    first: Places
    """Their places in the first run's scores, of shape (n,)."""
    second: Places
    """Their places in the second run's scores, in the same order."""

    @property
    def n(self) -> int:
        """How many tweets they have in common."""
        return len(self.first)


@dataclass(frozen=True)
class Matcher:
    """Finds the tweets of one run among those of another; reads each corpus once, and none if both have the same."""

    results: Results
    _identities: dict[str, Any] = field(default_factory=dict)
    _found: dict[tuple[str, str], CommonTweets | None] = field(default_factory=dict)

    def common(self, first: Located, second: Located) -> CommonTweets | None:
        """The tweets of the same part in both; None where a corpus is not on this machine."""
        both = (first.corpus, second.corpus)
        if both not in self._found:
            self._found[both] = self._match(first, second)
        return self._found[both]

    def _match(self, first: Located, second: Located) -> CommonTweets | None:
        import pyarrow.compute as pc

        if first.corpus == second.corpus:
            everywhere = np.arange(len(first.rows))
            return CommonTweets(everywhere, everywhere)
        of_first, of_second = self._read(first), self._read(second)
        if of_first is None or of_second is None:
            return None
        found = pc.index_in(of_first, value_set=of_second)
        places = np.flatnonzero(found.is_valid().to_numpy())
        return CommonTweets(
            places,
            found.drop_null().to_numpy().astype(np.int64),
        )

    def _read(self, scores: Located) -> Any:
        if scores.corpus not in self._identities:
            self._identities[scores.corpus] = read_identities(scores, self.results)
        return self._identities[scores.corpus]
