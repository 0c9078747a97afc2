"""Claims: two sides and how they are compared, decided in families that are corrected together."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from report.compare.answers import Answers, Group
from report.compare.datasets import design_of
from report.compare.matching import Runs, seeds_together
from sentiment.runs.records import PredictorKind
from sentiment.statistics.designs import Design, Matched, NotComparableError, TwoModels
from sentiment.statistics.estimate import Estimate
from sentiment.statistics.families import corrected
from sentiment.statistics.metrics import Metric
from sentiment.statistics.seeds import SeedSpread

K = TypeVar("K")


@dataclass(frozen=True, eq=False)
class Claim:
    """The question whether one side is better than another one.

    Attributes:
        design: how they are compared.
        selected: from how many configurations each of the two sides was selected.
    """

    first: Group
    second: Group
    design: Design
    selected: tuple[int, int] = (1, 1)


def decided(claims: Mapping[K, Claim], answers: Answers, number: int = 0) -> dict[K, Estimate]:
    """The differences of a family of claims, corrected together, without those whose sides cannot be compared.

    Args:
        number: their number, if it is larger than that of the claims.
    """
    known = {}
    for key, claim in claims.items():
        with suppress(NotComparableError):
            known[key] = answers.difference(claim.design, claim.first, claim.second)
    return dict(zip(known, corrected([*known.values()], number), strict=True))


def matched_claim(
    pairs: Sequence[tuple[Runs, Runs]],
    alike: Iterable[Runs],
    kind: PredictorKind,
    metric: Metric,
    spread: SeedSpread | None = None,
) -> Claim:
    """The claim of matched runs: over seeds, or over the pairs where no configuration has several seeds.

    Args:
        pairs: the runs of both sides that are equal in all else; of each side all seeds of one configuration or of
            several.
        alike: the configurations that tell the variance between seeds.
        spread: how the differences of pairs vary, where other pairs tell it.
    """
    design = design_of(alike, kind, metric)
    firsts = [runs for runs, _ in pairs]
    seconds = [runs for _, runs in pairs]
    if isinstance(design, TwoModels) and len(pairs) > 1:
        design = Matched(spread)
    else:
        firsts = [seeds for runs in firsts for seeds in seeds_together(runs)]
        seconds = [seeds for runs in seconds for seeds in seeds_together(runs)]
    return Claim(Group(firsts, kind), Group(seconds, kind), design)
