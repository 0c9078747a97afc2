"""Invented worlds, with and without differences, put before the functions that decide what the report claims.

`python -m tests.benchmarks.bench_claims` counts the claims in as many worlds as one likes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.stats import norm

from report.compare import ranking, test_sets
from report.compare.added import AddedPredictor
from report.compare.answers import Answers, Correctness, TweetIndex
from report.compare.datasets import Dataset, configurations_of
from report.compare.hypotheses import judge
from report.evaluated import CompletedRun, EvaluatedRun, Reader
from report.questions.labels import beats_baseline_from, label_points
from report.questions.settings import effects_of
from report.read import Grid
from sentiment.answers.table import AnswerTable, Predictor
from sentiment.config import PARTS
from sentiment.config_file import resolve
from sentiment.runs.hypotheses import Hypothesis, StatedHypothesis
from sentiment.runs.records import ModelKind
from sentiment.runs.run_dir import Results, RunDir
from sentiment.statistics.estimate import Estimate
from sentiment.statistics.metrics import Metric
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
    folds: int = 5
    """Of worlds that are cross-validated."""
    of_training_sets: float = 0.01
    """Standard deviation of accuracy between the training sets of folds."""
    of_tweet: float = 0.6
    of_configuration: float = 0.15
    """Of the variance of an answer; chance of a seed on a tweet is the rest."""


class _DrawnRun(CompletedRun):
    """A run whose predictions are drawn anew for each world."""

    def predictions(self, part: str) -> AnswerTable:
        drawn: AnswerTable = getattr(self.result, part)
        return drawn


class Layout:
    """Runs by configuration and seed, made once; each world gives them other answers."""

    def __init__(self, parameters: Iterable[dict[str, Any]], seeds: int) -> None:
        self.parameters = list(parameters)
        self.seeds = seeds
        self.runs: list[EvaluatedRun] = [
            self._run(one | {"seed": seed}) for one in self.parameters for seed in range(1, seeds + 1)
        ]
        self.grid = Grid("grid", None, [], self.runs)
        self.added: list[AddedPredictor] = []

    def _run(self, parameters: dict[str, Any]) -> EvaluatedRun:
        config = resolve(BASE, parameters, "a test")
        result: Any = SimpleNamespace(encoder=None, only_label=None, seconds_trained=1.0, epochs=1)
        result.parts = (*PARTS, "manual")
        attempts = [SimpleNamespace(start="")]
        record: Any = SimpleNamespace(encoder=None, attempts=attempts, data_fingerprint="corpus", table_sha256="table")
        run = _DrawnRun(RunDir(Path(config.run_id)), config, record, result)
        return EvaluatedRun([run], config, {})

    def draw(self, world: World, rng: np.random.Generator) -> Answers:
        luck = draw_luck(world, len(self.parameters), self.seeds, rng)
        test, validation, manual = (draw_right(luck, world, rng) for _ in range(3))
        labels = rng.choice(len(world.classes), world.tweets, p=world.classes)
        metric: Metric = "macro_recall" if len(world.classes) > 1 else "accuracy"
        record: Any = SimpleNamespace(annotator=False)
        self.added = []
        for number, parts in enumerate(zip(test[2], validation[2], strict=True)):
            of_parts = [_predictions(str(number), labels, added=right) for right in parts]
            added = AddedPredictor(str(number), record, *of_parts)
            self.added.append(replace(added, score=float(parts[1].mean())))
        tweets = TweetIndex.of([_predictions("all", labels, network=test[1])])
        tested = np.ones(world.tweets, np.int16)
        by_run = {}
        for index, run in enumerate(self.runs):
            of_seed = divmod(index, self.seeds)
            drawn = {"test": test, "validation": validation, "manual": manual}
            networks, baselines = ({part: of_part[of] for part, of_part in drawn.items()} for of in (0, 1))
            network = {part: _metrics(right[of_seed], labels) for part, right in networks.items()}
            baseline = {part: _metrics(right, labels) for part, right in baselines.items()}
            scores: Any = {"network": network, "baseline": baseline, "both": network, "lexicon": baseline}
            result: Any = run.trained[0].result
            result.scores = scores
            run.test_metrics.update({kind: of_kind["test"] for kind, of_kind in scores.items()})  # type: ignore[attr-defined]
            result.manual = _of_run(labels, manual[0][of_seed], manual[1], lexicon=manual[2][0])
            result.best_epoch = int(rng.integers(1, 9))
            result.overfit = SimpleNamespace(train_accuracy=0.9 + luck[of_seed])
            result.validation = _of_run(labels, validation[0][of_seed], validation[1], lexicon=validation[2][0])
            right = dict.fromkeys(("network", "both"), test[0][of_seed]) | {"baseline": test[1], "lexicon": test[2][0]}
            by_run[run.run_id] = Correctness(right, tested)
        return Answers(tweets, by_run, metric)


class FoldedLayout:
    """Cross-validated runs of some configurations, made once; each world gives them other answers."""

    def __init__(self, parameters: Iterable[dict[str, Any]], seeds: int, folds: int) -> None:
        in_folds = [one | {"data.folds": folds} for one in parameters]
        by_fold = [
            [run.trained[0] for run in Layout([one | {"data.fold": fold} for one in in_folds], seeds).runs]
            for fold in range(1, folds + 1)
        ]
        same: Any = SimpleNamespace(macro_f1=0.8, accuracy=0.8)
        of_any: Any = {"validation": same, "test": same}
        scores: Any = dict.fromkeys(("network", "baseline", "both", "lexicon"), of_any)
        self.runs: list[EvaluatedRun] = []
        for folds_of_run in zip(*by_fold, strict=True):
            for run in folds_of_run:
                run.result.__dict__["scores"] = scores
            config = folds_of_run[0].config.without("data.fold")
            self.runs.append(EvaluatedRun(folds_of_run, config, dict.fromkeys(scores, same)))

    def draw(self, world: World, rng: np.random.Generator) -> Dataset:
        """Each model has the luck of its training set, which all seeds of a configuration share, and of its seed.

        On external tweets training sets overlap; on their own tweets they are taken as independent.
        """
        shape = (world.configurations + 1, world.seeds, world.folds)  # the last configuration is the baseline
        of_seeds = rng.normal(size=shape) * world.deviation
        luck = of_seeds + rng.normal(size=(shape[0], 1, shape[2])) * world.of_training_sets
        manual_luck = of_seeds + _of_training_sets(shape[0], world, rng)
        tweets = np.arange(world.tweets)
        labels = rng.choice(len(world.classes), world.tweets, p=world.classes)
        right = _answered(_hardness(shape[0], world, rng), luck[:, :, tweets % world.folds], world, rng)
        manual_hardness = _hardness(shape[0], world, rng)
        manual = [_answered(manual_hardness, manual_luck[:, :, [fold]], world, rng) for fold in range(world.folds)]
        lexicon = rng.random(world.tweets) < 0.8
        index = TweetIndex.of([_predictions("all", labels, network=right[0, 0])])
        tested = (tweets % world.folds + 1).astype(np.int16)
        by_run = {}
        for number, run in enumerate(self.runs):
            of_seed = divmod(number, world.seeds)
            references = dict.fromkeys(("baseline", "lexicon"), right[-1, 0])
            of_run = dict.fromkeys(("network", "both"), right[of_seed]) | references
            by_run[run.run_id] = Correctness(of_run, tested)
            for fold, part in enumerate(run.trained):
                answers = _of_run(labels, manual[fold][of_seed], manual[fold][-1, 0], lexicon=lexicon)
                part.result.__dict__["manual"] = part.result.__dict__["validation"] = answers
        metric: Metric = "macro_recall" if len(world.classes) > 1 else "accuracy"
        return Dataset("invented", self.runs, configurations_of(self.runs, metric), Answers(index, by_run, metric), [])


def _of_training_sets(configurations: int, world: World, rng: np.random.Generator) -> Any:
    """The luck of each fold's training set, (configurations, 1, folds): the mean of that of all other folds."""
    others = world.folds - 1
    of_fold = rng.normal(size=(configurations, 1, world.folds)) * others**0.5
    return (of_fold.sum(axis=2, keepdims=True) - of_fold) / others * world.of_training_sets


def _hardness(configurations: int, world: World, rng: np.random.Generator) -> Any:
    """How easy each tweet is for all models, and for those of a configuration, (configurations, 1, tweets)."""
    tweet = rng.normal(size=world.tweets) * world.of_tweet**0.5
    own = rng.normal(size=(configurations, 1, world.tweets)) * world.of_configuration**0.5
    return tweet + own


def _answered(hardness: Any, luck: Any, world: World, rng: np.random.Generator) -> Any:
    """Which tweets are right by configuration, seed and tweet, given the luck of each model on each tweet."""
    of_chance = 1 - world.of_tweet - world.of_configuration
    chance = rng.normal(size=(*luck.shape[:2], world.tweets)) * of_chance**0.5
    return hardness + chance + luck / _DENSITY > _THRESHOLD


def fold_rates(world: World, worlds: int, seed: int = 1) -> dict[str, float]:
    """In which share of so many worlds a claim about cross-validated runs is made."""
    rng = np.random.default_rng(seed)
    layout = FoldedLayout(
        [{"model.hidden_size": 8 * (one + 1)} for one in range(world.configurations)], world.seeds, world.folds
    )
    made = defaultdict(list)
    for _ in range(worlds):
        dataset = layout.draw(world, rng)
        best = ranking.recommend_for(dataset, Reader(_NOWHERE))
        made["folds: better or worse than the recommended"].append(_shown(best.differences.values()))
        evaluated = test_sets.compare_on_external_tests([best], Reader(_NOWHERE))
        gaps = [gap for one in evaluated for gap in one.differences.values()]
        made["folds on a test set: against baseline and lexicon"].append(_shown(gaps))
    return {kind: sum(shown) / worlds for kind, shown in made.items()}


def draw_luck(world: World, configurations: int, seeds: int, rng: np.random.Generator) -> Any:
    """By how much each seed of each configuration is more accurate."""
    luck = rng.normal(size=(configurations, seeds)) * world.deviation
    luck[0] = luck[0] * world.spread + world.gain
    return luck


def draw_right(luck: Any, world: World, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Which tweets are right by configuration, seed and tweet; which the baseline, and which each of two predictors
    from elsewhere has right."""
    n, of_chance = world.tweets, 1 - world.of_tweet - world.of_configuration
    tweet = rng.normal(size=n) * world.of_tweet**0.5
    own = rng.normal(size=(len(luck), 1, n)) * world.of_configuration**0.5
    chance = rng.normal(size=(*luck.shape, n)) * of_chance**0.5
    baseline, *others = (tweet + rng.normal(size=(3, n)) * (1 - world.of_tweet) ** 0.5) > _THRESHOLD
    return tweet + own + chance + luck[:, :, None] / _DENSITY > _THRESHOLD, baseline, others


def _predictions(name: str, labels: Any, **right: Any) -> AnswerTable:
    """By the kind of the predictor: the label where it is right, else the next class."""
    predictors = []
    classes = max(labels.max() + 1, 2)
    for kind, flags in right.items():
        predicted = np.where(flags, labels, (labels + 1) % classes)
        predictors.append(Predictor(f"{name} ({kind})", kind, np.eye(classes)[predicted]))  # type: ignore[arg-type]
    return AnswerTable(np.arange(len(labels)), labels, predictors)


def _of_run(labels: Any, network: Any, baseline: Any, **right: Any) -> AnswerTable:
    return _predictions("run", labels, network=network, both=network, baseline=baseline, **right)


def _metrics(right: Any, labels: Any) -> Any:
    share = float(right.mean())
    recall = float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
    metrics = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high"), share)
    return SimpleNamespace(**metrics, macro_recall=recall, macro_f1=recall, loss=1 - share, n=len(right))


def _dataset(layout: Layout, answers: Answers) -> Dataset:
    return Dataset("invented", layout.runs, configurations_of(layout.runs, answers.metric), answers, layout.added)


def _shown(gaps: Iterable[Estimate | None]) -> bool:
    return any(gap is not None and gap.is_significant for gap in gaps)


def _models(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
    best = ranking.recommend_for(_dataset(layout, answers), Reader(_NOWHERE))
    by_family: dict[str, list[Estimate]] = defaultdict(list)
    for one, difference in best.differences.items():
        by_family[one.kind].append(difference)
    added = by_family.pop("added", [])
    alike = by_family.pop(best.model.kind, [])
    yield "headline: what was added is better", best.added_winner is not None
    yield (
        "leaderboard: what was added is better or worse",
        _shown(added),
    )
    yield "headline: recommended against the baseline", _shown([best.differences.get(best.rival)])
    yield (
        "headline and leaderboard: others of the kind are better or worse",
        _shown(alike),
    )
    others = max(by_family.values(), key=len)
    yield "leaderboard: a kind is better or worse", _shown(others)


def _on_test_sets(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
    best = ranking.recommend_for(_dataset(layout, answers), Reader(_NOWHERE))
    evaluated = test_sets.compare_on_external_tests([best], Reader(_NOWHERE))
    yield "test set: against baseline and lexicon", _shown(gap for one in evaluated for gap in one.differences.values())


def _encoders(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
    """The first configuration has few tweets wrong that the baseline has wrong, whatever the seed."""
    best = ranking.recommend_for(_dataset(layout, answers), Reader(_NOWHERE))
    kinds = ("network", "baseline")
    trained = [difference for one, difference in best.differences.items() if one.kind in kinds]
    yield "encoder: better or worse than the recommended", _shown(trained)


def _effects(kind: str, model: ModelKind = "network") -> "_Claims":
    def claims(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
        found = effects_of(layout.runs, answers, model)
        assert all(effect.pairs for effect in found)
        yield kind, _shown(difference for effect in found for difference in effect.differences.values())

    return claims


def _labels(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
    curve = label_points(layout.grid, answers)
    yield "labels: better or worse with some number", _shown(point.difference for point in curve)
    yield "labels: pays from", beats_baseline_from(curve) is not None


def _cleaning(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
    """The first seed's answers stand for those of a baseline, which differs by cleaning."""
    for run_id, one in answers.by_run.items():
        answers.by_run[run_id] = replace(one, right={"baseline": one.right["network"]})
    yield from _effects("cleaning: the baseline", "baseline")(layout, answers)


def verdicts(layout: Layout, answers: Answers, *hypotheses: dict[str, Any], first_grid: int = 0) -> list[str]:
    """The outcomes of hypotheses about a grid, of which so many of the first runs are another grid, `first`."""
    stated = []
    for number, values in enumerate(hypotheses):
        hypothesis = Hypothesis.model_validate({"claim": f"number {number}"} | values)
        stated.append(StatedHypothesis(hypothesis=hypothesis, stated_at=""))
    plan: Any = SimpleNamespace(name="second", planned_at="", hypotheses=stated, method="grid")
    grids = [Grid("first", None, [], layout.runs[:first_grid]), Grid("second", plan, [], layout.runs[first_grid:])]
    study: Any = SimpleNamespace(grids=grids, reader=Reader(_NOWHERE))
    return [verdict.outcome for verdict in judge(study, answers)]


def _hypotheses(layout: Layout, answers: Answers) -> Iterator[tuple[str, bool]]:
    widths = sorted({run.settings["model.hidden_size"] for run in layout.runs})
    better = {"setting": "model.cell", "values": "lstm", "better_than": "gru"}
    groups = {"setting": "model.hidden_size", "values": widths[:1], "better_than": widths[1:]}
    sooner = better | {"measure": "epochs"}
    overfitting = better | {"measure": "overfitting"}
    yield "hypotheses: better", "shown" in verdicts(layout, answers, better, groups, sooner, overfitting)
    of_best = {"better_than": {"grid": "first"}}
    half = len(layout.runs) // 2
    yield "hypotheses: the best of two grids", "shown" in verdicts(layout, answers, of_best, first_grid=half)
    yield (
        "hypotheses: the best, and its baseline",
        "shown" in verdicts(layout, answers, {"better_than": {"model": "baseline"}}),
    )


def edge_rates(world: World, worlds: int, seed: int = 1) -> dict[str, float]:
    """How often a hypothesis whose margin is exactly the true difference of two cells is decided."""
    rng = np.random.default_rng(seed)
    layout = Layout([{"model.cell": "gru"}, {"model.cell": "lstm"}], world.seeds)
    luck = rng.normal(size=1_000_000) * world.deviation
    true = norm.cdf((luck + world.gain) / _DENSITY - _THRESHOLD).mean() - norm.cdf(luck / _DENSITY - _THRESHOLD).mean()
    cells = {"setting": "model.cell", "values": "gru", "within": 100 * float(true)}
    made: dict[str, list[bool]] = defaultdict(list)
    for _ in range(worlds):
        answers = layout.draw(world, rng)
        for relation in ("as_good_as", "no_better_than"):
            (outcome,) = verdicts(layout, answers, cells | {relation: "lstm"})
            for decision in ("shown", "shown to be false"):
                made[f"{relation}: {decision}"].append(outcome == decision)
    return {kind: fmean(shown) for kind, shown in made.items()}


_Claims = Callable[[Layout, Answers], Iterator[tuple[str, bool]]]


def _layouts(world: World) -> dict[str, tuple[_Claims, Layout]]:
    """What is asked of each grid, by name; some have two or three configurations in every world."""
    many, seeds = range(world.configurations), world.seeds
    elmo: list[dict[str, Any]] = [{"elmo.model": "small"}, {"elmo.model": "none"}]
    encoders: list[dict[str, Any]] = [{"encoder.model": "small"}, {"encoder.model": "none"}]
    words: list[dict[str, Any]] = [{"data.text.stop_words": one} for one in ("none", "keep_negations", "all")]
    widths = [{"model.hidden_size": 8 * (one + 1)} for one in many]
    crossed = [{"model.cell": cell} | one for cell in ("lstm", "gru") for one in widths]
    growing = [{"data.train_rows": 100 * 2**one} for one in many]
    return {
        "models": (_models, Layout(widths, seeds)),
        "test sets": (_on_test_sets, Layout(widths, seeds)),
        "encoders": (_encoders, Layout(encoders, seeds)),
        "settings": (_effects("a setting: beats, loses to"), Layout(widths, seeds)),
        "settings, one seed": (_effects("a setting, one seed of each configuration"), Layout(crossed, 1)),
        "labels": (_labels, Layout(growing, seeds)),
        "elmo": (_effects("ELMo: gain"), Layout(elmo, seeds)),
        "cleaning": (_cleaning, Layout(words, 1)),
        "hypotheses": (_hypotheses, Layout(crossed, seeds)),
    }


QUESTIONS = tuple(_layouts(World(1, 1, 1, 0.0)))


def rates(world: World, worlds: int, questions: Iterable[str] = QUESTIONS, seed: int = 1) -> dict[str, float]:
    """In which share of so many worlds a claim of each kind is made, of all questions or some."""
    rng = np.random.default_rng(seed)
    made = defaultdict(list)
    layouts = _layouts(world)
    for question in questions:
        claims, layout = layouts[question]
        of_kind = world
        if question == "cleaning":  # a baseline has no seeds
            of_kind = replace(world, deviation=0.0)
        if question == "encoders":
            of_kind = replace(world, of_tweet=0.3, of_configuration=0.6)
        for _ in range(worlds):
            for kind, shown in claims(layout, layout.draw(of_kind, rng)):
                made[kind].append(shown)
    return {kind: sum(shown) / worlds for kind, shown in made.items()}
