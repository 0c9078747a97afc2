"""The second opinion on the questions of grids: effects of settings, labels, self-attention, searches."""

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from tests.oracle.recompute_designs import (
    Configuration,
    Dataset,
    Group,
    Tested,
    by_seeds,
    corrected,
    datasets_of,
    gap,
    matched_gap,
    only_label,
    share_of_metrics,
    spread_of,
    unused,
    varying,
)
from tests.oracle.recompute_files import Grid, Row, Study, with_macro
from tests.oracle.recompute_numbers import Gap, mean_score
from tests.oracle.recompute_words import (
    Opinion,
    Unknown,
    at_most,
    bounds,
    claim_figures,
    count,
    level_text,
    model_name,
    parameter_name,
    percent,
    points,
    setting_text,
    share_figures,
    usage_of,
)


def together(opinion: Opinion) -> None:
    """What the page says of several grids in one text."""
    for found in opinion.effects.values():
        if found:
            levels = sorted({one.level for one in found})
            shown = [level_text(level) for level in dict.fromkeys([levels[0], levels[-1]])]
            sizes = sorted({one.n for one in found})
            numbers = [count(size) for size in dict.fromkeys([sizes[0], sizes[-1]])]
            opinion.say("^Bars: .* intervals, corrected", *shown, *numbers)


def questions(opinion: Opinion, study: Study, grid: Grid, tested: list[Tested]) -> None:
    opinion.say(
        rf"^{grid.name}: .* runs? completed\)$",
        count(sum(bool(run.result) for run in grid.runs)),
        count(len(grid.runs)),
    )
    is_search = grid.plan is not None and (grid.plan["method"] == "random" or grid.plan["halving"])
    if is_search:
        _rungs(opinion, grid)
        datasets = [] if grid.plan and grid.plan["halving"] else datasets_of(None, tested)
        for group in [dataset.tested for dataset in datasets] or [tested]:
            _search(opinion, grid, group)
        opinion.names |= {dataset.name for dataset in datasets}
        return
    _effects(opinion, grid, tested)
    _labels(opinion, study, grid, tested)


def metric_of(tested: Sequence[Tested]) -> str:
    return "macro_recall" if any(one.is_macro for one in tested) else "accuracy"


def _search(opinion: Opinion, grid: Grid, tested: list[Tested]) -> None:
    if not tested:
        opinion.say("^Too few trials are completed", "0", count(len(grid.runs)))
        return
    assert grid.plan
    scores = [one.score("validation", "macro_f1") for one in tested]
    after: list[str] = []
    if grid.rankings:
        after = [str(grid.rankings[0]["epochs"])]
        scores = [trial["value"] for trial in grid.rankings[0]["trials"] if trial["value"] is not None]
    metric = metric_of(tested)
    names = varying(tested)
    ranked = sorted(tested, key=lambda one: -one.score("validation", "macro_f1"))
    best = ranked[0]
    if len(scores) < 2:
        opinion.say("^Too few trials are completed", count(len(tested)), count(len(grid.runs)))
    elif names or grid.rankings:
        figures = [count(len(tested)), percent(best.score("validation", "macro_f1"))]
        share = share_figures(share_of_metrics(best.on_test(), metric))
        opinion.names |= {setting_text(name, best.settings.get(name)) for name in names}
        opinion.say(r"^Best of [\d,]+ trials?", *figures, *share)
        opinion.say("^Parallel coordinates of", count(len(scores)), *after)
        opinion.say("^Importances need at least", "30", *after, count(len(scores)))
    if len(scores) >= 30 and grid.plan["method"] == "random":
        opinion.say("^Share of the variance of", str(len(scores)), "90")


def _rungs(opinion: Opinion, grid: Grid) -> None:
    """What halving saved, and what each ranking says, whose order is that of the metric logs."""
    assert grid.plan
    if not grid.plan["halving"]:
        return
    planned = [run for run in grid.runs if run.planned]
    epochs = sum(len(run.epochs) for run in planned)
    longest = max(run.config["training"]["epochs"] for run in planned if run.config)
    usage = usage_of(planned)
    hours = (usage.gpu or usage.cpu) / 3600
    everything = longest * len(planned)
    figures = [count(epochs), percent(epochs / everything), count(everything), count(len(planned)), f"{hours:,.2f}"]
    opinion.say("epochs were trained", *figures, f"{hours * everything / epochs:,.2f}")
    part, _, name = grid.plan["metric"].partition("/")
    logs = {run.path.name: run.epochs for run in planned}
    for ranking in grid.rankings:
        values = {}
        for trial in ranking["trials"]:
            epochs_of_trial = logs[trial["run_id"]]
            if len(epochs_of_trial) >= ranking["epochs"]:
                row = with_macro(epochs_of_trial[ranking["epochs"] - 1][part])
            else:  # its log is damaged: what the ranking recorded
                row = {name: trial["value"], "loss": trial["loss"]}
            values[trial["run_id"]] = row[name] if name == "loss" else -row[name], row["loss"]
        order = [values[trial["run_id"]] for trial in ranking["trials"]]
        promoted = ranking["promoted"]
        assert order == sorted(order), grid.name
        tied = sum(value == order[promoted - 1][0] for value, _ in order)
        is_tied = promoted < len(order) and order[promoted][0] == order[promoted - 1][0]
        opinion.say(
            f"^After epoch {ranking['epochs']} the best",
            str(ranking["epochs"]),
            count(promoted),
            count(len(order)),
            *([count(tied)] if is_tied else []),
        )
    drawn = sum(bool(run.epochs) for run in planned)
    opinion.say("after each epoch. Lines end", count(drawn), *map(str, grid.plan["halving"]["epochs"]))


def _effects(opinion: Opinion, grid: Grid, tested: list[Tested]) -> None:
    """Each setting's best value on validation tweets against every other one; all pairs of values are a family."""
    metric = metric_of(tested)
    opinion.names |= {dataset.name for dataset in datasets_in_order(tested)}
    rows: list[Row] = []
    for kind in ("network", "baseline"):
        names = [name for name in varying(tested) if name != "data.train_rows"]
        if kind == "baseline":
            names = [name for name in names if name.startswith("data.text.")]
        effects = _effects_of(tested, names, kind, metric)
        for effect in effects:
            rows += _effect_rows(effect, metric)
            opinion.names |= {effect["name_of"](value) for value in effect["values"]}
            if effect["contrasts"]:
                context = ", ".join(filter(None, [grid.name, effect["context"]]))
                words = [f"Best on validation tweets: {effect['name_of'](effect['best'])};"]
                opinion.say(f"^{context}: Best on", *_effect_figures(effect), words=words)
                found = [pair["gap"] for pair in effect["contrasts"].values() if pair["gap"]]
                opinion.effects.setdefault(effect["name"], []).extend(found)
    if rows:
        opinion.tables[f"effects-{grid.name}"] = rows
        opinion.say(f"^Grid {grid.name}: each value")


def _effects_of(runs: list[Tested], names: list[str], kind: str, metric: str) -> list[Row]:
    effects = []
    for data, group in _by_data(runs).items():
        spread = spread_of(by_seeds(group), "network", metric) if kind == "network" else None
        context = ", ".join(filter(None, ["the linear baseline" if kind == "baseline" else "", data]))
        found = [_effect(group, [name], kind, metric, spread) for name in names]
        found = [effect for effect in found if len(effect["values"]) > 1]
        never_alone = [effect["names"][0] for effect in found if not effect["contrasts"]]
        if kind == "network" and len(never_alone) > 1:
            together = _effect(group, never_alone, kind, metric, spread)
            if together["contrasts"]:
                found = [effect for effect in found if effect["contrasts"]] + [together]
        effects += [effect | {"context": context} for effect in found]
    hypotheses = sum(math.comb(len(effect["values"]), 2) for effect in effects)
    keys = {
        (number, value): pair["gap"]
        for number, effect in enumerate(effects)
        for value, pair in effect["contrasts"].items()
    }
    for (number, value), contrast in corrected(keys, hypotheses).items():
        effects[number]["contrasts"][value]["gap"] = contrast
    return effects


def _by_data(runs: list[Tested]) -> dict[str, list[Tested]]:
    """Runs by data set and by number of labelled tweets, in words, as far as these vary."""
    datasets = datasets_in_order(runs)
    sizes = {one.settings["data.train_rows"] for one in runs}
    groups: dict[str, list[Tested]] = defaultdict(list)
    for dataset in datasets:
        for one in sorted(dataset.tested, key=lambda one: one.settings["data.train_rows"] or math.inf):
            rows = one.settings["data.train_rows"] if len(sizes) > 1 else None
            size = f"at most {rows:,} labelled tweet{'s' if rows > 1 else ''}" if rows else ""
            groups[", ".join(filter(None, [dataset.name if len(datasets) > 1 else "", size]))].append(one)
    return groups


def datasets_in_order(runs: list[Tested]) -> list[Dataset]:
    """The data sets of some runs, in the order of the runs."""
    datasets = datasets_of(None, runs)
    return sorted(datasets, key=lambda dataset: runs.index(dataset.tested[0]))


def _effect(runs: list[Tested], names: list[str], kind: str, metric: str, spread: Any) -> Row:
    """Of one setting, or of several that never vary alone; a value is a tuple with one entry for each."""
    values: dict[Any, list[Tested]] = defaultdict(list)
    for one in runs:
        has_effect = [not name.startswith(unused(one.settings)) for name in names]
        if len(names) > 1 or has_effect[0]:
            value = tuple(one.settings.get(name) if has else None for name, has in zip(names, has_effect, strict=True))
            values[value].append(one)
    ordered = sorted(values, key=lambda value: [_order(part) for part in value])
    constant = {value: only_label(values[value]) if kind == "network" else None for value in ordered}
    f1 = {value: mean_score(one.score("validation", "macro_f1", kind) for one in values[value]) for value in ordered}

    def text_of(value: Any) -> str:
        name = setting_text(names[0], value[0]) if len(names) == 1 else model_name(values[value][0].settings)
        label = constant[value]
        return name + (f" [always predicts {label}]" if label else "")

    def name_of(value: Any) -> str:
        alike = [other for other in ordered if text_of(other) == text_of(value)]
        parts = [text_of(value)]
        for index, name in enumerate(names):
            if len({other[index] for other in alike}) > 1:
                parts.append(setting_text(name, value[index]))
        return ", ".join(parts)

    effect: Row = {"names": names, "kind": kind, "values": values, "order": ordered, "name_of": name_of}
    effect |= {"name": names[0] if len(names) == 1 else "configuration", "contrasts": {}}
    effect |= {"metric": metric, "constant": constant}
    if ordered:
        best = max(ordered, key=lambda value: (constant[value] is None, f1[value]))
        effect["best"] = best
        for value in ordered:
            pairs = matched_pairs(values[best], values[value], *names) if value != best else []
            if pairs:
                effect["contrasts"][value] = {"pairs": pairs, "gap": _contrast(pairs, kind, metric, spread)}
    return effect


def _order(value: Any) -> Any:
    if value is None:
        return (0, 0.0, "")
    return (1, float(value), str(value)) if isinstance(value, int | float) else (2, 0.0, str(value))


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


def _contrast(pairs: list[tuple[list[Tested], list[Tested]]], kind: str, metric: str, spread: Any) -> Gap | None:
    readable = [([one for one in ours if one.test], [one for one in theirs if one.test]) for ours, theirs in pairs]
    readable = [(ours, theirs) for ours, theirs in readable if ours and theirs]
    if not readable:
        return None
    if kind == "baseline":
        distinct: dict[Any, Any] = {}
        for ours, theirs in readable:
            answers = tuple(one.test.right("baseline").tobytes() for one in (ours[0], theirs[0]) if one.test)
            distinct.setdefault(answers, (ours[:1], theirs[:1]))
        readable = [*distinct.values()]
    is_folded = readable[0][0][0].is_cross_validated
    if not is_folded and spread is None and len(readable) > 1:
        return matched_gap(readable, kind, metric)
    firsts, seconds = ([pair[side] for pair in readable] for side in (0, 1))
    return gap(Group(firsts, kind), Group(seconds, kind), spread, metric)


def _effect_rows(effect: Row, metric: str) -> list[Row]:
    rows = []
    for value in effect["order"]:
        runs = effect["values"][value]
        row: Row = {"parameter": parameter_name(effect["name"]), "model": effect["context"] or "networks"}
        row |= {"value": effect["name_of"](value), "runs": len(runs)}
        row[metric] = fmean(one.score("test", metric, effect["kind"]) for one in runs)
        row["seconds"] = fmean(
            sum(result["seconds_trained"] for result in one.results) / sum(result["epochs"] for result in one.results)
            for one in runs
        )
        contrast = effect["contrasts"].get(value)
        if contrast:
            pairs = [[[one for one in group if one.test] for group in pair] for pair in contrast["pairs"]]
            used = [pair for pair in pairs if all(pair)]
            row["runs_compared"] = " and ".join(str(sum(len(pair[side]) for pair in used)) for side in (0, 1))
            found = contrast["gap"]
            if found:
                row |= bounds("difference_to_best", found) | {"tweets": found.n, "p": found.p, "adjusted_p": found.q}
        rows.append(row)
    return rows


def _effect_figures(effect: Row) -> list[Any]:
    """Of the sentence: differences that are significant, and how far apart the others are at most."""
    by_verdict: dict[str, list[Gap]] = defaultdict(list)
    for contrast in effect["contrasts"].values():
        found = contrast["gap"]
        if found is None:
            continue
        verdict = "none"
        if found.is_worse:
            verdict = "worse"
        elif found.is_better and not effect["constant"][effect["best"]]:
            verdict = "better"
        by_verdict[verdict].append(found)
    figures: list[Any] = [points(found.value) for verdict in ("better", "worse") for found in by_verdict[verdict]]
    figures += at_most(by_verdict["none"])
    if effect["name"].startswith("elmo."):
        figures.append(Unknown("drawing", r".*"))
    return figures


def _labels(opinion: Opinion, study: Study, grid: Grid, tested: list[Tested]) -> None:
    for dataset in datasets_in_order(tested):
        _label_curves(opinion, study, grid, dataset.tested, metric_of(tested))


def _label_curves(opinion: Opinion, study: Study, grid: Grid, tested: list[Tested], metric: str) -> None:
    if "data.train_rows" not in varying(tested):
        return
    configurations = sorted(Dataset(tested).configurations, key=lambda one: one.train_rows)
    gaps: dict[Any, Gap | None] = {}
    spreads = {}
    for one in configurations:
        of_size = [other.tested for other in configurations if other.train_rows == one.train_rows]
        spreads[one] = spread_of(of_size, "network", metric)
        ours = Group([one.tested], "network")
        gaps[one] = gap(ours, Group([one.readable[:1]], "baseline"), spreads[one], metric)
    found = corrected(gaps)
    curves: dict[str, list[Configuration]] = defaultdict(list)
    for one in found:
        curves[repr({k: v for k, v in one.tested[0].settings.items() if k not in ("seed", "data.train_rows")})].append(
            one
        )
    for points_of_curve in curves.values():
        flags = [one.only_label is None and found[one].is_better for one in points_of_curve]
        first = next((index for index in range(len(flags)) if all(flags[index:])), None)
        told = points_of_curve[-1:] if first is None else [points_of_curve[first], *points_of_curve[:first][-1:]]
        figures: list[Any] = []
        for one in told:
            size = _training_tweets(study, one)
            figures += [count(size)] if size else []
            if one.only_label is None:
                figures += claim_figures(found[one])
        words = "is significantly worse than" if first is None and found[told[0]].is_worse else ""
        opinion.say("(than the linear baseline even with|beats the linear baseline from)", *figures, words=[words])
    if found:
        sizes = sorted({gap.n for gap in found.values()})
        opinion.say("^Bars: 95 % intervals; n = ", "95", *map(count, dict.fromkeys([sizes[0], sizes[-1]])))


def _training_tweets(study: Study, one: Configuration) -> int | None:
    manifest = study.manifest(one.runs[0])
    rows: int | None = (
        manifest["report"]["parts"]["train"]["rows"] if manifest else one.tested[0].settings["data.train_rows"]
    )
    return rows


def validation_right(one: Tested) -> Any:
    validation = one.part("validation")
    assert validation
    return validation.right("network").astype(float)


def same_validation(runs: list[Tested]) -> bool:
    parts = [one.part("validation") for one in runs]
    keys = {(part.tweets.tobytes(), part.labels.tobytes()) for part in parts if part}
    return len(keys) == 1
