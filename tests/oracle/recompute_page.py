"""The second opinion on what the page says of the main data set: recommendation, caveats, errors, check list."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from html import unescape
from statistics import fmean
from typing import Any

import numpy as np

from tests.oracle.recompute_designs import (
    ENOUGH,
    SEEDED,
    Added,
    Configuration,
    Dataset,
    added_metrics,
    answered,
    spread_of,
)
from tests.oracle.recompute_files import MODELS, Row, Study, texts_of
from tests.oracle.recompute_numbers import (
    Gap,
    Score,
    answer,
    by_class,
    calibration,
    crossed,
    family,
    matched,
    score_of_shares,
    two_models,
    wilson,
)
from tests.oracle.recompute_words import (
    PREDICTORS,
    Opinion,
    bounds,
    cost_figures,
    cost_of,
    count,
    durations,
    level_of,
    p_figure,
    percent,
    points,
    predictor_name,
    setting_text,
    share_figures,
    usage_of,
)

_GROUPS = ("wrong in all runs", "disputed between runs", "other")


def evidence(found: Gap, *before: str) -> list[Any]:
    figures: list[Any] = [*before]
    if found.low is not None and found.high is not None:
        figures += [level_of(found), points(found.low), points(found.high)]
    return figures + ([p_figure(found.q)] if found.q is not None else [])


def side_of(value: float) -> str:
    return "points above" if value >= 0 else "points below"


def about(opinion: Opinion, study: Study, datasets: Sequence[Dataset]) -> None:
    """The subtitle: test tweets by class, runs, added predictors of gold tables, and the last date."""
    completed = len(study.completed)
    dates = [one["end"] or one["start"] for run in study.runs if run.record for one in run.record["attempts"]]
    golds = [len([*gold.glob("added/*.json")]) for gold in sorted((study.folder / "gold").glob("*"))]
    date = [max(dates)[:10]] if dates else []
    runs = [count(completed), count(len(study.runs))] if study.runs else []
    tweets = []
    if datasets:
        most = max(datasets[0].tested, key=lambda one: one.on_test("network")["n"])
        sizes = most.on_test("network")["sizes"]
        tweets = [count(sum(sizes)), *map(count, sizes)]
        opinion.names.add(datasets[0].name)
    opinion.say(r"(runs? completed|added predictors? on \S+)( \u00b7|$)", *tweets, *runs, *map(str, golds), *date)


def main_page(opinion: Opinion, study: Study, datasets: Sequence[Dataset]) -> None:
    dataset = datasets[0]
    opinion.names |= {one.name for one in dataset.added}
    _caveats(opinion, datasets)
    if dataset.best is None:
        return
    _headline(opinion, dataset)
    _facts(opinion, dataset)
    _check_list(opinion, dataset.best)
    _errors(opinion, study, dataset)


def _headline(opinion: Opinion, dataset: Dataset) -> None:
    best = dataset.best
    assert best
    ours = dataset.score(best, dataset.model)
    winner, gain = dataset.winner, dataset.gain
    settings = [setting_text(name, value) for name, value in best.distinguishing.items()]
    opinion.names.add(", ".join(settings)[:1].upper() + ", ".join(settings)[1:])
    if winner:
        found = dataset.below_recommended[winner.name].reversed
        score = added_metrics(winner.test)[dataset.metric]
        words = [side_of(found.value), f"Use {winner.name} (added predictor)"]
        opinion.say("^Use .*added predictor", percent(score), percent(abs(found.value)), *evidence(found), words=words)
        return
    if dataset.model == "baseline":
        figures: list[Any] = share_figures(ours)
        words = []
        if gain and not gain.is_significant:
            figures += evidence(gain, points(gain.value))
            words = ["not significantly better"]
        elif gain:
            figures += [percent(abs(gain.value)), *evidence(gain)]
            words = [side_of(gain.value)]
        opinion.say("^Use the linear baseline", *figures, words=words)
        return
    figures = share_figures(ours)
    if gain:
        baseline = dataset.score(best, "baseline").value
        figures += [percent(abs(gain.value)), *evidence(gain, percent(baseline))]
    words = [side_of(gain.value)] if gain else []
    words += ["Use the mean of both ("] if dataset.model == "both" else []
    opinion.say(r"^Use (the mean of both|Bi|LSTM|GRU|ELMo|\u25a1)", *figures, words=words)


def not_worse(dataset: Dataset) -> list[Configuration]:
    return [one for one, found in dataset.rivals.items() if not found.is_better]


def cheapest(dataset: Dataset) -> list[Configuration]:
    """That of the configurations with runs on GPUs, and that of those on CPUs alone."""
    assert dataset.best
    equal = [dataset.best, *not_worse(dataset)]
    groups: dict[bool, list[Configuration]] = {}
    for one in equal:
        groups.setdefault(cost_of(one)[0] > 0, []).append(one)
    return [min(group, key=cost_of) for group in groups.values()]


def _facts(opinion: Opinion, dataset: Dataset) -> None:
    """What stands under the headline."""
    best, winner = dataset.best, dataset.winner
    assert best
    runs = best.tested[:1] if dataset.model == "baseline" else best.tested
    measured = [added_metrics(winner.test)] if winner else [one.on_test(dataset.model) for one in runs]
    figures = []
    for label, size in enumerate(measured[0]["sizes"]):
        figures += [percent(fmean(one["recall"][label] for one in measured))] if size else []
        figures.append(count(size))
    opinion.say("^Recall by class", *figures)
    cost = cost_figures(winner.record) if winner else []
    if cost:
        opinion.say("^Cost per 1,000 tweets", "1,000", *cost)
    others = len(dataset.eligible) - 1
    left = others - len(dataset.rivals)
    figures = [count(len(not_worse(dataset))), count(others), *([count(left)] if left else [])]
    opinion.say("^Configurations not significantly worse", *figures)
    figures = []
    for one in cheapest(dataset):
        if one is not best:
            figures += [*durations(*cost_of(one)), percent(one.mean("test", dataset.metric))]
    opinion.say("^Cheapest to train", *figures)
    usage = usage_of(best.runs)
    vectors = durations(usage.encoder_gpu, usage.encoder_cpu) if usage.encoder_cpu + usage.encoder_gpu else []
    opinion.say("^Compute time of", *durations(*cost_of(best)), count(len(best.tested)), *vectors)


def unfinished(opinion: Opinion, study: Study) -> None:
    """How many runs are not completed, whether or not any is."""
    states = Counter(run.state for run in study.runs if run.state not in ("completed", "pruned"))
    if states:
        number = sum(states.values())
        counts = [count(n) for n in sorted(states.values(), reverse=True)]
        opinion.say("not completed:", count(number), count(len(study.runs)), *counts)
        opinion.say(r"not completed\.", count(number), count(len(study.runs)), *_stopped(states))


def _caveats(opinion: Opinion, datasets: Sequence[Dataset]) -> None:
    dataset = datasets[0]
    single = sum(len(one.tested) == 1 for one in dataset.eligible)
    if 0 < single < len(dataset.eligible):
        opinion.say("a single seed and", count(single), count(len(dataset.eligible)))
    fewer = [one for one in dataset.configurations if one not in dataset.eligible and one.only_label is None]
    if fewer:
        opinion.say("trained on fewer labelled tweets and", count(len(fewer)))
    constant = [one for one in dataset.configurations if one.only_label]
    if constant:
        opinion.say("^Networks that predict the same class", *([str(len(constant) - 1)] if constant[1:] else []))
    if len(datasets) > 1:
        opinion.say("different test sets", str(len(datasets)))
    if dataset.best:
        best = dataset.best
        ours = dataset.score(best, dataset.model).value
        if "lexicon" in best.best_seed.kinds:
            lexicon = best.best_seed.score("test", dataset.metric, "lexicon")
            if lexicon > ours:
                opinion.say("^VADER.s lexicon has a higher", percent(lexicon))
        for one in dataset.added:
            n = int(answered(one.validation).sum()) if one.validation else 0
            opinion.say(
                f"^{re.escape(one.name)} .added predictor. has a significantly", *([count(n), str(ENOUGH)] if n else [])
            )


# States of runs that need no action, or about which this machine knows too little.
_WAITING = ("planned", "running", "paused", "stopped", "unreachable")


def _stopped(states: Counter[str]) -> list[str]:
    stopped = sum(n for state, n in states.items() if state not in _WAITING)
    return [count(stopped)] if stopped else []


def _check_list(opinion: Opinion, best: Configuration) -> None:
    lists = [result["check_list"] for one in best.tested for result in one.results]
    if not lists[0]:
        return
    rows: list[Row] = []
    for capability, (_, n) in lists[0]["network"].items():
        means = {kind: fmean(one[kind][capability][0] for one in lists) for kind in lists[0]}
        rows.append({"capability": capability, "sentences": n, **means})
    rows.append({"capability": "all"} | {key: sum(row[key] for row in rows) for key in rows[0] if key != "capability"})
    opinion.tables["check-list"] = rows
    opinion.say("sentences of the check list per capability", *([str(len(lists))] if len(lists) > 1 else []), "2020")


def _errors(opinion: Opinion, study: Study, dataset: Dataset) -> None:
    """Confusion, calibration and mistakes of the run with the best validation macro F1."""
    assert dataset.best
    one = dataset.best.best_seed
    test = one.test
    if test is None:
        return
    classes = one.first.classes
    by_model: list[Row] = []
    by_class_rows: list[Row] = []
    for kind in MODELS:
        answers = answer(test.probabilities[kind])
        measured = one.on_test(kind)
        for label, name in enumerate(classes):
            row: Row = {"model": PREDICTORS[kind], "class": name}
            for other, predicted in enumerate(classes):
                row[f"predicted_{predicted}"] = int(((test.labels == label) & (answers == other)).sum())
            row |= {"precision": measured["precision"][label], "recall": None}
            if measured["sizes"][label]:
                row["recall"] = measured["recall"][label]
            by_class_rows.append(row)
        bins = calibration(test.labels, test.probabilities[kind])
        error = sum(abs(p * n - right) for p, right, n in bins) / len(test.labels)
        by_model.append({"model": PREDICTORS[kind], "ece": error, "loss": measured["loss"]})
    opinion.tables |= {"confusion": by_class_rows, "calibration": by_model}
    n = count(len(test.labels))
    opinion.say("^Confusion matrix", "10", n)
    opinion.say("^Reliability diagram", n)
    _mistakes(opinion, study, dataset)


def _mistakes(opinion: Opinion, study: Study, dataset: Dataset) -> None:
    assert dataset.best
    one = dataset.best.best_seed
    test = one.test
    assert test
    texts = texts_of(study, one.folds)
    if texts is None:
        return
    readable = [other for other in dataset.tested if other.test]
    right: dict[Any, list[bool]] = defaultdict(list)
    for other in readable:
        assert other.test
        keys = zip(other.test.tweets.tolist(), other.test.labels.tolist(), strict=True)
        for key, is_right in zip(keys, other.test.right("network").tolist(), strict=True):
            right[key].append(is_right)
    kind = dataset.model
    wrong = np.flatnonzero(~test.right(kind))
    highest = test.probabilities[kind].max(axis=1)
    groups: dict[str, list[Row]] = {name: [] for name in _GROUPS}
    for row in sorted(wrong.tolist(), key=lambda row: -highest[row]):
        key = (int(test.tweets[row]), int(test.labels[row]))
        share = fmean(right[key])
        text = texts.get(key[0], "")
        group = _GROUPS[2]
        if share == 0 and len(right[key]) >= 4:
            group = _GROUPS[0]
        elif 0.35 <= share <= 0.65:
            group = _GROUPS[1]
        classes = one.first.classes
        predicted = classes[int(answer(test.probabilities[kind])[row])]
        entry = {"group": group, "tweet": unescape(text), "label": classes[key[1]], "predicted": predicted}
        groups[group].append(entry | {"probability": float(highest[row]), "share_right": share})
    if len(wrong):
        opinion.tables["mistakes"] = [row for rows in groups.values() for row in rows[:5]]
        counts = [count(len(rows)) for rows in groups.values() if rows]
        opinion.say("misclassified by the", count(len(wrong)), *(counts if counts[1:] else []), "5")


def external_tests(opinion: Opinion, datasets: Sequence[Dataset]) -> None:
    """Every model on every external test set: a family for each set and each data set that models were trained on."""
    rows: list[tuple[Any, Row]] = []
    for dataset in datasets:
        names = sorted(
            {name for one in dataset.tested for name in one.results[0]["scores"]["network"]}
            - {"train", "validation", "test"}
        )
        for name in names:
            rows += _external(dataset, name)
    rows.sort(key=lambda pair: pair[0])
    networks: Counter[Any] = Counter()
    visible: list[Row] = []
    for _, row in rows:
        kind = row.pop("kind")
        networks[row["tests"], row["data"]] += kind == "network"
        if kind != "network" or networks[row["tests"], row["data"]] <= 10:
            visible.append(row)
        opinion.names.add(row["tests"])
    for _, row in rows if len(datasets) == 1 else ():
        row["data"] = None
    if rows:
        opinion.tables["test-sets"] = [row for _, row in rows]
        opinion.shown["test-sets"] = visible
    of_all = [count(len(visible)), count(len(rows))] if len(visible) < len(rows) else []
    opinion.say("on external test sets, none of whose", *of_all, "95")


def _external(dataset: Dataset, name: str) -> list[tuple[Any, Row]]:
    readable = []
    for one in dataset.configurations:
        parts: dict[Any, list[Any]] = defaultdict(list)
        for run in one.runs:
            if run.predictions and name in run.predictions:
                parts[run.settings["data.fold"]].append(run.predictions[name])
        if parts:
            readable.append((one, parts))
    models: list[tuple[str, Configuration, dict[Any, list[Any]]]] = [("network", *pair) for pair in readable]
    for one, parts in readable:
        if one is dataset.best:
            left_out = ("network",) if dataset.alternative == "both" else SEEDED
            models += [(kind, one, parts) for kind in one.tested[0].kinds if kind not in left_out]
    found, gaps = [], []
    for kind, one, parts in models:
        labels = next(iter(parts.values()))[0].labels
        classes = labels if dataset.metric == "macro_recall" else None

        def flags(which: str, parts: dict[Any, list[Any]] = parts) -> list[Any]:
            return [
                np.array([part.right(which) for part in (seeds if which in SEEDED else seeds[:1])])
                for seeds in parts.values()
            ]

        groups = [[run for run in other.tested if name in run.results[0]["scores"][kind]] for other, _ in readable]
        spread = spread_of(groups, kind, dataset.metric, name) if kind in SEEDED and not dataset.folds else None
        against = {"network": ("baseline", "lexicon"), "both": ("baseline", "lexicon"), "baseline": ("lexicon",)}
        for reference in against.get(kind, ()):
            if reference in one.tested[0].kinds:
                gaps.append(
                    ((kind, one, reference), _gap(flags(kind), flags(reference), classes, spread, dataset.folds))
                )
        is_best = one is dataset.best and kind == dataset.model
        shown = f"\u2605 {predictor_name(one, kind)}" if is_best else predictor_name(one, kind)
        sizes = np.bincount(labels, minlength=len(one.tested[0].first.classes))
        row: Row = {"tests": name, "n": len(labels), "data": dataset.name, "model": shown, "kind": kind}
        row["classes"] = " / ".join(f"{size / len(labels):.0%}".removesuffix("%") for size in sizes)
        means = np.mean([one_set.mean(axis=0) for one_set in flags(kind)], axis=0)
        row["macro_recall"] = float(np.mean([part.mean() for part in by_class(means, labels)]))
        row |= bounds(dataset.metric, _score(flags(kind), classes, spread, dataset.folds))
        found.append(((name, dataset.name, not is_best), row, kind, one))
    corrected = dict(zip([key for key, _ in gaps], family([gap for _, gap in gaps]), strict=True))
    for _, row, kind, one in found:
        for reference in ("baseline", "lexicon"):
            if (kind, one, reference) in corrected:
                gap = corrected[kind, one, reference]
                row |= bounds(f"gain_over_{reference}", gap) | {f"gain_over_{reference}_q": gap.q}
    return [(key, row) for key, row, *_ in found]


def _gap(ours: list[Any], theirs: list[Any], classes: Any, spread: Any, folds: int) -> Gap:
    if folds:
        return matched([*zip(ours, theirs, strict=True)], classes, overlap=True)
    if spread:
        return crossed(ours, theirs, (True, False), classes, spread)
    return two_models(ours[0][0], theirs[0][0], classes)


def _score(ours: list[Any], classes: Any, spread: Any, folds: int) -> Score:
    nothing = [np.zeros((1, flags.shape[1]), bool) for flags in ours]
    if not folds and not spread:
        return score_of_shares(ours[0][0], classes)
    found = _gap(ours, nothing, classes, spread, folds)
    low, high = found.interval(0.95)
    if low is None or high is None:
        return Score(found.value, None, None, found.n)
    return Score(found.value, max(low, 0.0), min(high, 1.0), found.n)


__all__ = ["Added", "wilson"]
