"""Invented worlds, with and without differences, put before the functions that decide what the report claims.

`python -m tests.report.simulation 400` prints how many of so many worlds make each kind of claim;
`python -m tests.report.simulation 2000 spreads` how often configurations against their baseline are called different.
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

from report.compare import advice, test_sets
from report.compare.added import AddedPredictor
from report.compare.answers import Answers, Correctness, TweetIndex
from report.compare.datasets import Dataset, configurations_of
from report.questions import attention
from report.questions.labels import label_curves
from report.questions.settings import effects_of
from report.read import CompletedRun, Grid
from report.statistics import Difference, Metric, Side, compare, pooled_variance
from sentiment.config import PARTS
from sentiment.config_file import resolve
from sentiment.paired import ALPHA
from sentiment.runs.predictions import PartPredictions, Predictor
from sentiment.runs.records import ModelChoice
from sentiment.runs.run_dir import Results, RunDir
from tests.report.made_up import BASE

# Accuracy is 80 %: what a normal deviate exceeds with this probability, and its density there.
_THRESHOLD, _DENSITY = -0.8416, 0.28
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
    spread: float = 1.0
    """How many times as much the seeds of the first configuration deviate."""
    classes: tuple[float, ...] = (1.0,)
    """The shares of the classes; of several, predictors are compared by macro recall."""
    of_tweet: float = 0.6
    of_configuration: float = 0.15
    """Of the variance of an answer; chance of a seed on a tweet is the rest."""


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
        result.parts = (*PARTS, "manual")
        record: Any = SimpleNamespace(encoder=None, attempts=[], data_fingerprint="corpus")
        return CompletedRun(RunDir(Path(config.run_id)), parameters, config, record, result)

    def draw(self, world: World, rng: np.random.Generator) -> Answers:
        luck = _luck(world, len(self.parameters), self.seeds, rng)
        test, validation, manual = (_right(luck, world, rng) for _ in range(3))
        labels = rng.choice(len(world.classes), world.tweets, p=world.classes)
        metric: Metric = "macro_recall" if len(world.classes) > 1 else "accuracy"
        record: Any = SimpleNamespace(annotator=False)
        others = enumerate(zip(test[2], validation[2], strict=True))
        self.added = []
        for number, parts in others:
            of_parts = [_predictions(str(number), labels, added=right) for right in parts]
            self.added.append(AddedPredictor(str(number), record, *of_parts))
        tweets = TweetIndex.of([_predictions("all", labels, network=test[1])])
        known = tweets.bits(np.arange(world.tweets))
        by_run = {}
        for place, run in enumerate(self.runs):
            of_test, of_validation = (part[0][divmod(place, self.seeds)] for part in (test, validation))
            network = {"test": _metrics(of_test, labels), "validation": _metrics(of_validation, labels)}
            baseline = {"test": _metrics(test[1], labels), "validation": _metrics(validation[1], labels)}
            run.result.scores = {"network": network, "baseline": baseline, "both": network, "lexicon": baseline}
            of_manual: Any = {"network": manual[0][divmod(place, self.seeds)], "baseline": manual[1]}
            run.result.manual = _predictions(
                "run", labels, **of_manual, both=of_manual["network"], lexicon=manual[2][0]
            )
            run.result.best_epoch = int(rng.integers(1, 9))
            run.result.overfit = SimpleNamespace(train_accuracy=0.9 + luck[divmod(place, self.seeds)])
            right = {"network": of_validation, "both": of_validation, "baseline": validation[1]}
            run.result.validation = _predictions("run", labels, **right)
            packed: Any = {
                "network": np.packbits(of_test),
                "both": np.packbits(of_test),
                "baseline": np.packbits(test[1]),
            }
            by_run[run.run_id] = Correctness(packed, known)
        return Answers(tweets, by_run, metric)


def _luck(world: World, configurations: int, seeds: int, rng: np.random.Generator) -> Any:
    """By how much each seed of each configuration is more accurate."""
    luck = rng.normal(size=(configurations, seeds)) * world.deviation
    luck[0] = luck[0] * world.spread + world.gain
    return luck


def _right(luck: Any, world: World, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Which tweets are right by configuration, seed and tweet; which the baseline, and which each of two predictors
    from elsewhere has right."""
    n, of_chance = world.tweets, 1 - world.of_tweet - world.of_configuration
    tweet = rng.normal(size=n) * world.of_tweet**0.5
    own = rng.normal(size=(len(luck), 1, n)) * world.of_configuration**0.5
    chance = rng.normal(size=(*luck.shape, n)) * of_chance**0.5
    baseline, *others = (tweet + rng.normal(size=(3, n)) * (1 - world.of_tweet) ** 0.5) > _THRESHOLD
    return tweet + own + chance + luck[:, :, None] / _DENSITY > _THRESHOLD, baseline, others


def _predictions(name: str, labels: Any, **right: Any) -> PartPredictions:
    """By the kind of the predictor: the label where it is right, else the next class."""
    kinds: Any = right
    predictors = []
    classes = max(labels.max() + 1, 2)
    for kind, flags in kinds.items():
        predicted = np.where(flags, labels, (labels + 1) % classes)
        predictors.append(Predictor(f"{name} ({kind})", kind, np.eye(classes)[predicted]))
    return PartPredictions(np.arange(len(labels)), labels, predictors)


def _metrics(right: Any, labels: Any) -> Any:
    share = float(right.mean())
    recall = float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
    bounds = {"accuracy_low": share, "accuracy_high": share}
    metrics = {"accuracy": share, "macro_recall": recall, "macro_f1": recall, "loss": 1 - share, "n": len(right)}
    return SimpleNamespace(**metrics, **bounds)


def _dataset(layout: Layout, answers: Answers) -> Dataset:
    return Dataset(layout.runs, configurations_of(layout.runs), answers, layout.added)


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


def _on_test_sets(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
    with patch.object(test_sets, "read_part", lambda run, _part: run.result.manual):
        evaluated = test_sets.on_test_sets([_dataset(layout, answers)], [None], [])
    yield "test set: against baseline and lexicon", _shown(gap for one in evaluated for gap in one.differences.values())


def _encoders(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
    """The first configuration has few tweets wrong that the baseline has wrong, whatever the seed."""
    dataset = _dataset(layout, answers)
    yield "encoder: better or worse than the baseline", _shown(dataset.against_baseline.values())


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
        (found,) = attention.attention_contrasts(layout.grid, [])
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
        (_on_test_sets, Layout(widths, seeds)),
        (_encoders, Layout([{"encoder.model": "small"}, {"encoder.model": "none"}], seeds)),
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
            of_kind = world
            if claims is _cleaning:  # a baseline has no seeds
                of_kind = replace(world, deviation=0.0)
            if claims is _encoders:
                of_kind = replace(world, of_tweet=0.3, of_configuration=0.6)
            for kind, shown in claims(layout, layout.draw(of_kind, rng)):
                found[kind].append(shown)
    return {kind: sum(shown) / worlds for kind, shown in found.items()}


def spread_rates(world: World, worlds: int, seed: int = 1) -> tuple[float, float]:
    """In how many worlds any configuration is called different from the baseline; the first, if it alone counted."""
    rng, shown = np.random.default_rng(seed), np.zeros(2)
    for _ in range(worlds):
        right, baseline, _ = _right(_luck(world, world.configurations, world.seeds, rng), world, rng)
        classes = rng.choice(len(world.classes), world.tweets, p=world.classes)
        strata: dict[str, Any] = {"classes": classes} if len(world.classes) > 1 else {}
        sides = [Side([answers], **strata) for answers in right]
        spread = pooled_variance([side.seed_scores(side.configurations[0]).tolist() for side in sides])
        linear = Side([baseline[None]], has_seeds=False, **strata)
        claims = compare([(side, linear, spread) for side in sides])
        shown += any(claim.is_shown for claim in claims), (claims[0].p or 1.0) < ALPHA
    return tuple((shown / worlds).tolist())


# Any number of configurations; the seeds of the first deviate by a quarter, as much or four times as much; not at all.
SPREADS = [
    World(configurations, seeds, 1000, deviation, spread=spread)
    for seeds in (2, 3, 4, 6)
    for configurations in (1, 2, 6)
    for deviation, spread in ((0.0, 1.0), (0.01, 0.25), (0.01, 1.0), (0.01, 4.0))
]


def print_spreads(worlds: int) -> None:
    """The rates of false claims by spread, and how often a gain of two points is seen."""
    for classes in ((1.0,), (0.8, 0.1, 0.1)):
        print(
            f"{len(classes)} classes; % of worlds with any false claim; with one on the first, if it alone counted: "
            "mean, most"
        )
        for deviation, spread in ((0.0, 1.0), (0.01, 0.25), (0.01, 1.0), (0.01, 4.0)):
            alike = [world for world in SPREADS if (world.deviation, world.spread) == (deviation, spread)]
            found = np.array([spread_rates(replace(world, classes=classes), worlds) for world in alike])
            rates = " | ".join(f"{100 * rate:.1f}" for of_kind in found.T for rate in (of_kind.mean(), of_kind.max()))
            print(f"deviation {deviation}, first times {spread} | {rates}", flush=True)
    for seeds in (2, 3, 5):
        _, seen = spread_rates(World(1, seeds, 1000, 0.01, 0.02), worlds)
        print(f"{seeds} seeds of one configuration: a gain of 2 points is seen in {100 * seen:.0f} %")


def main() -> None:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    if "spreads" in sys.argv:
        print_spreads(worlds)
        return
    sizes, deviations, shapes = (400, 4000), (0.0, 0.01, 0.02), ((2, 2), (10, 2), (6, 3), (3, 5))
    sorts = [World(*shape, tweets, one) for tweets in sizes for one in deviations for shape in shapes]
    sorts += [World(4, 3, tweets, 0.01, classes=(0.8, 0.1, 0.1)) for tweets in sizes]
    sorts += [World(4, seeds, tweets, 0.01, 0.06) for tweets in sizes for seeds in (2, 3, 5)]
    for world in sorts:
        print(world, *(f"{100 * share:9.1f} %  {kind}" for kind, share in rates(world, worlds).items()), sep="\n")


if __name__ == "__main__":
    main()
