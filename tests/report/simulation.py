"""Invented worlds, with and without differences, put before the functions that decide what the report claims.

`python -m tests.report.simulation 400` prints how many of so many worlds make each kind of claim.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from report.compare import advice
from report.compare.added import AddedPredictor
from report.compare.answers import Answers, Correctness, TweetIndex
from report.compare.datasets import Dataset, configurations_of
from report.questions import attention
from report.questions.labels import label_curves
from report.questions.settings import effects_of
from report.read import CompletedRun, Grid
from report.statistics import Difference
from sentiment.config_file import resolve
from sentiment.metrics import with_first_class
from sentiment.runs.predictions import PartPredictions, Predictor
from sentiment.runs.records import ModelChoice
from sentiment.runs.run_dir import Results, RunDir
from tests.report.made_up import BASE

# Accuracy is 80 %: what a normal deviate exceeds with this probability, and its density there.
_THRESHOLD, _DENSITY = -0.8416, 0.28
# Of the variance of an answer: of the tweet, of a configuration on a tweet; chance of a seed on a tweet is the rest.
_TWEET, _OWN = 0.6, 0.15
_NOWHERE = Results(Path("/nowhere"))


@dataclass(frozen=True)
class World:
    configurations: int
    seeds: int
    tweets: int
    deviation: float
    """Standard deviation of accuracy between seeds of one configuration."""
    gain: float = 0.0
    """By how much the first configuration is more accurate than all others and than the baseline."""


class Layout:
    """Runs by configuration and seed, made once; each world gives them other answers."""

    def __init__(self, parameters: Iterable[dict[str, Any]], seeds: int) -> None:
        self.parameters = list(parameters)
        self.seeds = seeds
        self.runs = [self._run(one | {"seed": seed}) for one in self.parameters for seed in range(1, seeds + 1)]
        self.grid = Grid("grid", None, [], self.runs)
        self.added: list[AddedPredictor] = []

    def _run(self, parameters: dict[str, Any]) -> CompletedRun:
        config = resolve(BASE, parameters, "a test")
        result: Any = SimpleNamespace(encoder=None, only_label=None, seconds_trained=1.0, epochs=1)
        result.recommended = "network"
        record: Any = SimpleNamespace(encoder=None, attempts=[], data_fingerprint="corpus")
        return CompletedRun(RunDir(Path(config.run_id)), parameters, config, record, result)

    def draw(self, world: World, rng: np.random.Generator) -> Answers:
        luck = rng.normal(size=(len(self.parameters), self.seeds)) * world.deviation
        luck[0] += world.gain
        test, validation = (_right(luck, world.tweets, rng) for _ in range(2))
        record: Any = SimpleNamespace(annotator=False)
        others = enumerate(zip(test[2], validation[2], strict=True))
        self.added = []
        for number, parts in others:
            of_parts = [_predictions(str(number), added=right) for right in parts]
            self.added.append(AddedPredictor(str(number), record, *of_parts))
        tweets = TweetIndex.of([_predictions("all", network=test[1])])
        known = tweets.bits(np.arange(world.tweets))
        by_run = {}
        for place, run in enumerate(self.runs):
            of_test, of_validation = (part[0][divmod(place, self.seeds)] for part in (test, validation))
            network = {"test": _metrics(of_test), "validation": _metrics(of_validation), "train": _metrics(of_test)}
            baseline = {"test": _metrics(test[1]), "validation": _metrics(validation[1])}
            run.result.scores = {"network": network, "baseline": baseline, "both": network}
            run.result.best_epoch = int(rng.integers(1, 9))
            run.result.overfit = SimpleNamespace(train_accuracy=0.9 + luck[divmod(place, self.seeds)])
            right = {"network": of_validation, "both": of_validation, "baseline": validation[1]}
            run.result.validation = _predictions("run", **right)
            packed: Any = {
                "network": np.packbits(of_test),
                "both": np.packbits(of_test),
                "baseline": np.packbits(test[1]),
            }
            by_run[run.run_id] = Correctness(packed, known)
        return Answers(tweets, by_run)


def _right(luck: Any, n: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Which tweets are right by configuration, seed and tweet; which the baseline, and which each of two predictors
    from elsewhere has right."""
    tweet = rng.normal(size=n) * _TWEET**0.5
    own = rng.normal(size=(len(luck), 1, n)) * _OWN**0.5
    chance = rng.normal(size=(*luck.shape, n)) * (1 - _TWEET - _OWN) ** 0.5
    baseline, *others = (tweet + rng.normal(size=(3, n)) * (1 - _TWEET) ** 0.5) > _THRESHOLD
    return tweet + own + chance + luck[:, :, None] / _DENSITY > _THRESHOLD, baseline, others


def _predictions(name: str, **right: Any) -> PartPredictions:
    """Of positive tweets, by the kind of the predictor."""
    kinds: Any = right
    predictors = []
    for kind, flags in kinds.items():
        probabilities = with_first_class(flags[:, None].astype(float))
        predictors.append(Predictor(f"{name} ({kind})", kind, probabilities))
    n = len(predictors[0].probabilities)
    return PartPredictions(np.arange(n), np.ones(n, np.int64), predictors)


def _metrics(right: Any) -> Any:
    share = float(right.mean())
    bounds = {"accuracy_low": share, "accuracy_high": share}
    return SimpleNamespace(accuracy=share, macro_f1=share, loss=1 - share, n=len(right), **bounds)


def _dataset(layout: Layout, answers: Answers) -> Dataset:
    return Dataset(layout.runs, configurations_of(layout.runs), answers, layout.added, [])


def _shown(gaps: Iterable[Difference | None]) -> bool:
    return any(gap is not None and gap.is_shown for gap in gaps)


def _validation(run: CompletedRun, _part: str) -> Any:
    return run.result.validation  # type: ignore[attr-defined]


def _models(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
    dataset = _dataset(layout, answers)
    with patch.multiple(advice, cost_per_run=lambda _one: 1.0, read_part=_validation):
        best = advice.recommend(dataset)
    yield "headline: what was added is better", any(one.is_better for one in best.added)
    yield "leaderboard: what was added is better or worse", _shown(one.below_recommended for one in best.added)
    yield "headline and tile: recommended against the baseline", _shown([best.gain])
    yield "headline and leaderboard: others are worse", _shown(best.rivals.values())
    yield "leaderboard: better or worse than the baseline", _shown(dataset.against_baseline.values())


def _effects(kind: str, model: ModelChoice = "network") -> "_Claims":
    def claims(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
        found = effects_of(layout.runs, answers, model)
        assert all(effect.contrasts for effect in found)
        yield kind, _shown(one.difference for effect in found for one in effect.contrasts)

    return claims


def _labels(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
    (curve,) = label_curves(layout.grid, answers, _NOWHERE)
    yield "labels: better or worse with some number", _shown(point.difference for point in curve.points)
    yield "labels: pays from", curve.beats_baseline_from is not None


def _cleaning(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
    """The first seed's answers stand for those of a baseline, which differs by cleaning."""
    for run_id, one in answers.by_run.items():
        answers.by_run[run_id] = replace(one, correct={"baseline": one.correct["network"]})
    yield from _effects("cleaning: the baseline", "baseline")(layout, answers)


def _speed(layout: Layout, _answers: Answers) -> Iterator[tuple[str, bool]]:
    with patch.object(attention, "read_part", _validation):
        (found,), _ = attention.attention_contrasts(layout.grid)
    yield "attention: sooner, overfits more", _shown([found.best_epoch, found.overfitting_gap])


_Claims = Callable[[Layout, Answers], Iterator[tuple[str, bool]]]


def _layouts(world: World) -> list[tuple[_Claims, Layout]]:
    """What is asked of each grid; some have two or three configurations in every world."""
    many, seeds = range(world.configurations), world.seeds
    two: list[dict[str, Any]] = [{"model.pooling": "attention"}, {"model.pooling": "last"}]
    elmo: list[dict[str, Any]] = [{"elmo.model": "small"}, {"elmo.model": "none"}]
    words: list[dict[str, Any]] = [{"data.text.stop_words": one} for one in ("none", "keep_negations", "all")]
    widths = [{"model.hidden_size": 8 * (one + 1)} for one in many]
    crossed = [{"model.cell": cell} | one for cell in ("lstm", "gru") for one in widths]
    return [
        (_models, Layout(widths, seeds)),
        (_effects("a setting: beats, loses to"), Layout(widths, seeds)),
        (_effects("a setting, one seed of each configuration"), Layout(crossed, 1)),
        (_labels, Layout([{"data.train_rows": 100 * 2**one} for one in many], seeds)),
        (_effects("ELMo: gain"), Layout(elmo, seeds)),
        (_cleaning, Layout(words, 1)),
        (_speed, Layout(two, seeds)),
    ]


def rates(world: World, worlds: int, seed: int = 1) -> dict[str, float]:
    rng, found = np.random.default_rng(seed), defaultdict(list)
    for claims, layout in _layouts(world):
        for _ in range(worlds):
            of_kind = replace(world, deviation=0.0) if claims is _cleaning else world  # a baseline has no seeds
            for kind, shown in claims(layout, layout.draw(of_kind, rng)):
                found[kind].append(shown)
    return {kind: sum(shown) / worlds for kind, shown in found.items()}


def main() -> None:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    sizes, deviations, shapes = (400, 4000), (0.0, 0.01, 0.02), ((2, 2), (10, 2), (6, 3), (3, 5))
    sorts = [World(*shape, tweets, one) for tweets in sizes for one in deviations for shape in shapes]
    sorts += [World(4, seeds, tweets, 0.01, 0.06) for tweets in sizes for seeds in (2, 3, 5)]
    for world in sorts:
        print(world, *(f"{100 * share:9.1f} %  {kind}" for kind, share in rates(world, worlds).items()), sep="\n")


if __name__ == "__main__":
    main()
