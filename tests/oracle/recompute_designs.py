"""What is compared with what: configurations, data sets, families and the recommendation, written a second time."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

import numpy as np

from tests.oracle.recompute_files import KINDS, MODELS, Grid, Predictions, Row, Run, Study
from tests.oracle.recompute_numbers import (
    Array,
    Gap,
    Score,
    Spread,
    crossed,
    drawn,
    family,
    matched,
    mean_score,
    metrics,
    pooled,
    score_of_shares,
    two_models,
    wilson,
    within_folds,
)

SEEDED = ("network", "both")
MODELS_BY_COMPLEXITY = ("baseline", *SEEDED)
# With fewer answers an added predictor leads nothing and is not drawn.
ENOUGH = 30
# Data settings that do not say which tweets are tested.
_NOT_OF_TEST = (
    *("data.source", "data.columns", "data.labels", "data.text.", "data.vocabulary.", "data.extra_train"),
    *("data.train_rows", "data.tests"),
)
_NOT_OF_MODEL = ("seed", "data.folds", "data.fold")


@dataclass(eq=False)
class Tested:
    """A completed run; or the runs of all folds of one configuration and seed, whose tweets are tested once each."""

    folds: list[Run]
    grid: Grid
    on: str = "test"
    """The part whose tweets are in the place of test tweets."""

    @property
    def is_cross_validated(self) -> bool:
        return len(self.folds) > 1

    @property
    def id(self) -> str:
        return f"{self.folds[0].id}, {len(self.folds)} folds" if self.is_cross_validated else self.folds[0].id

    @cached_property
    def settings(self) -> Row:
        settings = dict(self.folds[0].settings)
        if self.is_cross_validated:
            settings["data.fold"] = None
        return settings

    @property
    def first(self) -> Run:
        return self.folds[0]

    @property
    def train_rows(self) -> float:
        return self.settings["data.train_rows"] or math.inf

    @property
    def table(self) -> str:
        return str(self.first.record["table_sha256"])

    @property
    def corpora(self) -> str:
        return " ".join(run.record["data_fingerprint"] for run in self.folds if run.record)

    @property
    def source(self) -> str:
        source = str(self.settings["data.source"])
        return f"{source} in {len(self.folds)} folds" if self.is_cross_validated else source

    @property
    def results(self) -> list[Row]:
        return [run.result for run in self.folds if run.result]

    @property
    def kinds(self) -> list[str]:
        return [kind for kind in KINDS if kind in self.results[0]["scores"]]

    @property
    def metric(self) -> str:
        """The grid's, or that of early stopping, whichever is first one that predictors can be compared by."""
        names = [self.grid.plan["metric"].split("/")[-1]] if self.grid.plan else []
        names.append(self.settings["training.early_stopping.metric"])
        return str(next((name for name in names if name in ("accuracy", "macro_recall")), "accuracy"))

    @property
    def only_label(self) -> int | None:
        labels = {result["only_label"] for result in self.results}
        return labels.pop() if len(labels) == 1 else None

    @cached_property
    def test(self) -> Predictions | None:
        """Its test predictions, those of all folds together; None where a file cannot be read."""
        return self.part(self.on)

    @cached_property
    def fold_numbers(self) -> Array:
        sizes = [len(run.predictions[self.on].tweets) for run in self.folds if run.predictions]
        return np.repeat(np.arange(len(sizes)), sizes)

    def part(self, name: str) -> Predictions | None:
        parts = [run.predictions[name] for run in self.folds if run.predictions and name in run.predictions]
        if len(parts) < len(self.folds):
            return None
        probabilities = {kind: np.concatenate([part.probabilities[kind] for part in parts]) for kind in self.kinds}
        tweets = np.concatenate([part.tweets for part in parts])
        return Predictions(tweets, np.concatenate([part.labels for part in parts]), probabilities)

    @cached_property
    def _pooled(self) -> dict[str, Row]:
        return {}

    def on_test(self, kind: str = "network") -> Row:
        if not self.is_cross_validated:
            return self.first.measured("test", kind)
        if kind not in self._pooled:
            self._pooled[kind] = metrics(self.test.labels, self.test.probabilities[kind])
        return self._pooled[kind]

    def score(self, part: str, name: str, kind: str = "network") -> float:
        """Of test tweets of all folds together; of others the mean over folds, in whose parts tweets recur."""
        if part == "test":
            return float(self.on_test(kind)[name])
        return mean_score(run.measured(part, kind)[name] for run in self.folds)


def unused(settings: Row) -> tuple[str, ...]:
    """Prefixes of settings without effect in a run."""
    prefixes = []
    if settings["model.pooling"] != "attention":
        prefixes.append("model.attention.")
    if not settings.get("elmo.model"):
        prefixes += ["elmo.layers", "elmo.combine", "elmo.dropout", "elmo.state", "elmo.backend", "elmo.precision"]
    if not settings.get("encoder.model"):
        prefixes += ["encoder.revision", "encoder.use", "encoder.dropout", "encoder.precision"]
    return tuple(prefixes)


def varying(tested: Iterable[Tested]) -> list[str]:
    values: dict[str, set[str]] = {}
    for one in tested:
        for name, value in one.settings.items():
            if name not in _NOT_OF_MODEL and not name.startswith(unused(one.settings)):
                values.setdefault(name, set()).add(repr(value))
    return [name for name in values if len(values[name]) > 1]


def tested_of(grid: Grid) -> list[Tested]:
    """The completed runs of a grid; all folds of a configuration and seed as one, if each can be read."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in grid.runs:
        if run.result:
            settings = {name: value for name, value in run.settings.items() if name != "data.fold"}
            groups[repr(settings) + run.record["table_sha256"]].append(run)
    tested = []
    for runs in groups.values():
        folds = sorted(runs, key=lambda run: run.settings["data.fold"] or 0)
        number = folds[0].settings["data.folds"]
        is_whole = number and [run.settings["data.fold"] for run in folds] == [*range(1, number + 1)]
        if is_whole and all(run.predictions for run in folds):
            tested.append(Tested(folds, grid))
        elif not number:
            tested += [Tested([run], grid) for run in runs]
    return tested


def only_label(tested: Iterable[Tested]) -> str | None:
    """The class that all these networks answer for every validation tweet."""
    runs = [*tested]
    labels = {result["only_label"] for one in runs for result in one.results}
    if len(labels) != 1 or None in labels:
        return None
    return runs[0].first.classes[labels.pop() or 0]


def by_seeds(tested: Iterable[Tested]) -> list[list[Tested]]:
    groups: dict[str, list[Tested]] = defaultdict(list)
    for one in tested:
        groups[repr({name: value for name, value in one.settings.items() if name != "seed"}) + one.corpora].append(one)
    return [*groups.values()]


@dataclass(eq=False)
class Side:
    """Configurations, each over its seeds, with one of their predictors: a side of a comparison, or what is ranked."""

    configurations: Sequence[Sequence[Any]]
    kind: str
    score: float | None = None
    competes: bool = False

    @property
    def tested(self) -> Sequence[Any]:
        """The runs of its only configuration."""
        (tested,) = self.configurations
        return tested

    def values(self, part: str, name: str) -> list[float]:
        return [one.score(part, name, self.kind) for one in self.tested]

    @property
    def on_validation(self) -> "Side":
        """The same with validation tweets in the place of test tweets."""
        return replace(self, configurations=[[replace(one, on="validation") for one in self.tested]])


def mean_of(tested: Iterable[Tested], part: str, name: str, kind: str = "network") -> float:
    return mean_score(one.score(part, name, kind) for one in tested)


def spread_of(configurations: Iterable[Sequence[Tested]], kind: str, metric: str, part: str = "test") -> Spread | None:
    groups = list(configurations)
    learned = [group for group in groups if any(one.only_label is None for one in group)]
    return pooled([[one.score(part, metric, kind) for one in group] for group in learned or groups])


@dataclass(eq=False)
class Added:
    """An added predictor on the test tweets of one run, and on its validation tweets."""

    test: Predictions
    validation: Predictions | None

    @staticmethod
    def on(tweets: Predictions, record: Row) -> Predictions | None:
        """Its answers: rows of 0 for answers that are none of the classes, of NaN for none; None without a class."""
        k = next(iter(tweets.probabilities.values())).shape[1]
        said = record["predictions"]
        rows = [(said[key] or [0.0] * k) if key in said else [math.nan] * k for key in tweets.tweets.tolist()]
        answers = np.array(rows, float).reshape(len(rows), k)
        if not (np.nan_to_num(answers).sum(axis=1) > 0).any():
            return None
        return Predictions(tweets.tweets, tweets.labels, {"added": answers})

    def score(self, metric: str) -> float | None:
        """On validation tweets, if it has answered enough of them and of the others."""
        parts = [part for part in (self.test, self.validation) if part]
        if self.validation is None or min(int(answered(part).sum()) for part in parts) < ENOUGH:
            return None
        return mean_score([added_metrics(self.validation)[metric]])


def answered(predictions: Predictions) -> Array:
    return ~np.isnan(predictions.probabilities["added"][:, 0])


def added_metrics(predictions: Predictions) -> Row:
    rows = answered(predictions)
    return metrics(predictions.labels[rows], predictions.probabilities["added"][rows])


@dataclass(eq=False)
class Dataset:
    """Tested runs on the same tweets."""

    tested: list[Tested]
    added_records: dict[str, tuple[Row, Tested]] = field(default_factory=dict)
    version: str = ""
    copies: list[Tested] = field(default_factory=list)

    @property
    def metric(self) -> str:
        """That of most runs of grids, or of all where there is no grid."""
        everywhere = [*self.tested, *self.copies]
        return metric_of([one for one in everywhere if one.grid.name != "single"] or everywhere)

    @property
    def test_tweets(self) -> int:
        return int(max(one.on_test()["n"] for one in self.tested))

    @property
    def folds(self) -> int:
        return len(self.tested[0].folds) if self.tested[0].is_cross_validated else 0

    @property
    def name(self) -> str:
        return self.tested[0].source + self.version

    @cached_property
    def configurations(self) -> list[list[Tested]]:
        """The best mean score of networks on validation tweets first."""
        groups = sorted(by_seeds(self.tested), key=lambda group: _name(group[0]))
        return sorted(groups, key=lambda group: -mean_of(group, "validation", self.metric))

    @cached_property
    def candidates(self) -> list[list[Tested]]:
        groups = self.configurations
        eligible = _on_most([group for group in groups if only_label(group) is None] or groups)
        return [group for group in eligible if len(group) > 1] or eligible

    @cached_property
    def models(self) -> list[Side]:
        """Networks and means of both of all configurations, then the baselines."""
        found = []
        by_corpora: dict[str, list[list[Tested]]] = defaultdict(list)
        for group in self.configurations:
            by_corpora[group[0].corpora].append(group)
            for kind in SEEDED:
                score = mean_of(group, "validation", self.metric, kind)
                found.append(Side([group], kind, score, group in self.candidates))
        for groups in by_corpora.values():
            tested = sorted((one for group in groups for one in group), key=lambda one: one.id)
            first = next((one for one in tested if one.test is not None), tested[0])
            score = first.score("validation", self.metric, "baseline")
            found.append(Side([[first]], "baseline", score, groups[0] in _on_most(self.configurations)))
        return found

    @cached_property
    def references(self) -> list[Side]:
        """Of the best configuration."""
        first = self.configurations[0][0]
        kinds = [kind for kind in ("lexicon", "majority") if kind in first.kinds]
        return [Side([[first]], kind, first.score("validation", self.metric, kind)) for kind in kinds]

    @cached_property
    def ranking(self) -> list[Side]:
        return [*self.models, *self.references, *self.added]

    def leader(self, *kinds: str) -> Side:
        of_kinds = [one for kind in kinds for one in self.models if one.competes and one.kind == kind]
        return max(of_kinds, key=_score_of)

    def spread_for(self, side: Side, part: str = "test") -> Spread | None:
        if side.kind not in SEEDED:
            return None
        alike = [one for one in self.models if one.kind == side.kind]
        pool = [one for one in alike if one.competes or not side.competes]
        return spread_of([one.tested for one in pool], side.kind, self.metric, part)

    def validated(self, first: Side, second: Side) -> Gap | None:
        """A difference on validation tweets, of which each counts once for all folds."""
        spread = self.spread_for(first, "validation")
        return gap(first.on_validation, second.on_validation, spread, self.metric)

    @cached_property
    def model(self) -> Side:
        """The simplest that is not shown to be worse than another on validation tweets, of the best ones of a kind."""
        leaders = [self.leader(kind) for kind in MODELS_BY_COMPLEXITY]
        ordered = sorted(leaders, key=_score_of, reverse=True)
        gaps: dict[Any, Gap | None] = {}
        for place, better in enumerate(ordered):
            for worse in ordered[place + 1 :]:
                seeded, other = (worse, better) if better.kind == "baseline" else (better, worse)
                found = self.validated(seeded, other)
                gaps[better, worse] = found.reversed if found and seeded is worse else found
        beaten = [worse for (_, worse), found in corrected(gaps).items() if found.is_better]
        return next(one for one in leaders if one not in beaten)

    @property
    def alternative(self) -> Side:
        return self.model if self.model.kind != "baseline" else self.leader(*SEEDED)

    def score(self, side: Side) -> Score:
        """The test score of a predictor: over seeds and tweets, of one trained model Wilson's."""
        found = None
        if side.kind in MODELS:
            found = score(side, self.spread_for(side), self.metric)
        if found or len(side.tested) == 1:
            return found or share_of_metrics(side.tested[0].on_test(side.kind), self.metric)
        n = min(one.on_test(side.kind)["n"] for one in side.tested)
        return Score(mean_score(side.values("test", self.metric)), None, None, n)

    @cached_property
    def differences(self) -> dict[Any, Gap]:
        """Every other predictor less the model: what competes of its kind and of others, and all else, by families."""
        ours = self.model.kind
        competing = [one for one in self.models if one.competes]
        number = sum(one.kind == ours for one in competing)
        single = [one for one in self.models if not one.competes]
        lexicon = [one for one in self.references if one.kind == "lexicon"]
        found: dict[Any, Gap] = {}
        for members, hypotheses in (
            ([one for one in competing if one.kind == ours and one is not self.model], math.comb(number, 2)),
            ([one for one in competing if one.kind != ours], len(competing) - 1),
            *((members, number * len(members)) for members in (single, lexicon, self.added)),
        ):
            of_members = corrected({one: self._above(one) for one in members}, hypotheses)
            found |= {one: above.reversed for one, above in of_members.items()}
        return found

    def _above(self, other: Side) -> Gap | None:
        seeded = self.model if self.model.kind in SEEDED or other.kind == "added" else other
        return gap(self.model, other, self.spread_for(seeded), self.metric)

    @cached_property
    def added(self) -> list[Side]:
        found = []
        for record, one in self.added_records.values():
            assert one.test
            test = Added.on(one.test, record)
            validation = None if one.is_cross_validated else one.part("validation")
            if test and not record["annotator"]:  # no predictor is compared with a person
                answers = Added(test, Added.on(validation, record) if validation else None)
                found.append(Side([[answers]], "added", answers.score(self.metric)))
        return found


def _name(one: Tested) -> tuple[str, ...]:
    """By which equal configurations are in order: the architecture, and the settings in the order of the schema."""
    return one.id.rpartition("-")[0], str(one.settings["data.text.urls"]), *map(str, one.settings.values())


def _score_of(side: Side) -> float:
    return -math.inf if side.score is None else side.score


def _on_most(configurations: list[list[Tested]]) -> list[list[Tested]]:
    """Those with as many training tweets as any; all limits of random studies leave something out."""
    most = max((group[0].train_rows for group in configurations), default=0)
    return [group for group in configurations if group[0].train_rows == most]


def flags_of(one: Any, kind: str) -> dict[tuple[int, int], bool]:
    """Whether a predictor has each (tweet, label) right, of the tweets that it answers."""
    test: Predictions = one.test
    rows = answered(test) if kind == "added" else slice(None)
    keys = zip(test.tweets[rows].tolist(), test.labels[rows].tolist(), strict=True)
    return dict(zip(keys, test.right(kind)[rows].tolist(), strict=True))


def _sides(groups: Sequence[Side], metric: str) -> tuple[list[list[Array]], Array | None, Array | None] | None:
    """For each group and configuration the flags (seeds, tweets) on the common tweets, with classes, and folds."""
    kept = [[[one for one in tested if one.test is not None] for tested in group.configurations] for group in groups]
    if not all(tested for configurations in kept for tested in configurations):
        return None
    flags = [
        [[flags_of(one, group.kind) for one in tested] for tested in configurations]
        for group, configurations in zip(groups, kept, strict=True)
    ]
    every = [of_run for of_group in flags for of_seeds in of_group for of_run in of_seeds]
    common = sorted(set.intersection(*(set(of_run) for of_run in every)))
    if len(common) < 2:
        return None
    arrays = [[np.array([[one[key] for key in common] for one in seeds]) for seeds in group] for group in flags]
    classes = np.array([label for _, label in common]) if metric == "macro_recall" else None
    folded = [one for configurations in kept for tested in configurations for one in tested if isinstance(one, Tested)]
    folds = None
    if any(one.is_cross_validated for one in folded):
        numbers = [[fold_of_tweets(one)[key] for key in common] for one in folded]
        if any(one != other for one, other in pairwise(numbers)):
            return None
        folds = np.array(numbers[0])
    return arrays, classes, folds


def fold_of_tweets(one: Tested) -> dict[tuple[int, int], int]:
    keys = zip(one.test.tweets.tolist(), one.test.labels.tolist(), strict=True)
    return dict(zip(keys, one.fold_numbers.tolist(), strict=True))


def gap(first: Side, second: Side, spread: Spread | None, metric: str) -> Gap | None:
    """By the design that fits: folds, seeds, or two trained models."""
    sides = _sides((first, second), metric)
    if sides is None:
        return None
    (ours, theirs), classes, folds = sides
    seeded = (first.kind in SEEDED, second.kind in SEEDED)
    if folds is not None:
        return within_folds(ours, theirs, classes, folds) if len(set(folds.tolist())) > 1 else None
    if spread and any(seeded):
        return crossed(ours, theirs, seeded, classes, spread)
    if any(len(flags) > 1 for flags in (*ours, *theirs)):
        return None
    return replace(two_models(ours[0][0], theirs[0][0], classes), is_conditional=any(seeded))


def drawn_gap(firsts: Sequence[list[Tested]], seconds: Sequence[list[Tested]], metric: str) -> Gap | None:
    sides = _sides((Side(firsts, "network"), Side(seconds, "network")), metric)
    if sides is None:
        return None
    (ours, theirs), classes, _ = sides
    first, second = (np.array([flags.mean(axis=0) for flags in side]) for side in (ours, theirs))
    return drawn(first, second, classes)


def score(group: Side, spread: Spread | None, metric: str) -> Score | None:
    sides = _sides((group,), metric)
    if sides is None:
        return None
    (ours,), classes, folds = sides
    nothing = [np.zeros((1, flags.shape[1]), bool) for flags in ours]
    if folds is not None:
        found = within_folds(ours, nothing, classes, folds)
    elif spread and group.kind in SEEDED:
        found = crossed(ours, nothing, (True, False), classes, spread)
    elif len(ours[0]) > 1:
        return None
    else:
        return score_of_shares(ours[0][0], classes)
    return found.of_share


def corrected(gaps: dict[Any, Gap | None], hypotheses: int = 0) -> dict[Any, Gap]:
    known = {key: found for key, found in gaps.items() if found}
    return dict(zip(known, family([*known.values()], hypotheses), strict=True))


def share_of_metrics(measured: Row, metric: str) -> Score:
    """A score from recorded metrics, with Wilson's interval, or that of a mean of recalls."""
    if metric == "accuracy":
        return Score(measured["accuracy"], measured["accuracy_low"], measured["accuracy_high"], measured["n"])
    pairs = [(recall, size) for recall, size in zip(measured["recall"], measured["sizes"], strict=True) if size]
    shares = [wilson(round(recall * size), size) for recall, size in pairs]
    k = len(shares)
    value = fmean(share.value for share in shares)
    below = math.sqrt(sum((share.value - (share.low or 0)) ** 2 for share in shares)) / k
    above = math.sqrt(sum(((share.high or 0) - share.value) ** 2 for share in shares)) / k
    return Score(value, value - below, value + above, measured["n"])


def deviation(values: Sequence[float]) -> float | None:
    is_rounding = max(values) - min(values) < 1e-12
    return None if is_rounding else stdev(values)


def datasets_of(study: Study | None, tested: Iterable[Tested]) -> list[Dataset]:
    """Groups of runs on the same tweets, the largest first; each run once, even if several grids have it."""
    datasets: list[Dataset] = []
    for one in tested:
        dataset = next((dataset for dataset in datasets if same_data(dataset.tested[0], one)), None)
        if dataset is None:
            datasets.append(Dataset([one]))
        elif one.id in [other.id for other in dataset.tested]:
            dataset.copies.append(one)
        else:
            dataset.tested.append(one)
    for dataset in datasets:
        alike = [_facts(other.tested[0]) for other in datasets if other.tested[0].source == dataset.tested[0].source]
        for name, value in _facts(dataset.tested[0]).items():
            if value is not None and len({str(facts.get(name)) for facts in alike}) > 1:
                dataset.version += f", {name.removeprefix('data.').replace('_', ' ')} {value}"
    for dataset in datasets if study else ():
        for one in dataset.tested:
            if one.test is not None:
                for run in one.folds:
                    for name, record in study.added(run).items():
                        dataset.added_records.setdefault(name, (record, one))
    return sorted(datasets, key=lambda dataset: (-dataset.test_tweets, dataset.name))


def metric_of(tested: Sequence[Tested]) -> str:
    """That of most; accuracy of as many."""
    by_recall = sum(one.metric == "macro_recall" for one in tested)
    return "macro_recall" if by_recall > len(tested) / 2 else "accuracy"


def same_data(first: Tested, second: Tested) -> bool:
    """Whether two runs were tested on the same tweets: of the same table, split in the same way."""
    return repr(_facts(first)) == repr(_facts(second))


def _facts(one: Tested) -> Row:
    """The version of a run's table, and the settings that split it."""
    names = [name for name in one.settings if name.startswith("data.") and not name.startswith(_NOT_OF_TEST)]
    names.sort(key=lambda name: name != "data.folds")  # it is named before the fold
    return {"version": one.table[:8]} | {name: one.settings[name] for name in names}


def matched_gap(
    pairs: Sequence[tuple[list[Tested], list[Tested]]], kind: str, metric: str, between: tuple[float, int] | None = None
) -> Gap | None:
    """Matched configurations as the random factor."""
    sides = _sides((Side([ours for ours, _ in pairs], kind), Side([theirs for _, theirs in pairs], kind)), metric)
    if sides is None:
        return None
    (ours, theirs), classes, folds = sides
    assert folds is None
    return matched([*zip(ours, theirs, strict=True)], classes, between=between)


def matched_pairs(firsts: list[Tested], seconds: list[Tested], *names: str) -> list[tuple[list[Tested], list[Tested]]]:
    """Groups that are equal in all settings but these, and the seed."""

    def key(one: Tested) -> str:
        left = {key: value for key, value in one.settings.items() if key not in ("seed", *names)}
        data = one.table if any(name.startswith("data.") for name in names) else one.corpora
        return repr({key: value for key, value in left.items() if not key.startswith(ignored)}) + data

    ignored = tuple({*unused(firsts[0].settings), *unused(seconds[0].settings)})
    ours: dict[str, list[Tested]] = defaultdict(list)
    theirs: dict[str, list[Tested]] = defaultdict(list)
    for one in firsts:
        ours[key(one)].append(one)
    for one in seconds:
        theirs[key(one)].append(one)
    return [(group, theirs[which]) for which, group in ours.items() if which in theirs]


def validation_right(one: Tested) -> Any:
    validation = one.part("validation")
    return validation.right("network").astype(float)


def same_validation(runs: list[Tested]) -> bool:
    parts = [one.part("validation") for one in runs]
    keys = {(part.tweets.tobytes(), part.labels.tobytes()) for part in parts if part}
    return len(keys) == 1
