"""The second opinion on what is written beside the page: the LaTeX tables, the checklist, and `evaluate --out`."""

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

from tests.oracle.recompute_designs import Dataset, added_metrics, share_of_metrics
from tests.oracle.recompute_files import Row, Run, Study
from tests.oracle.recompute_numbers import Gap, Score
from tests.oracle.recompute_words import (
    MINUS,
    PREDICTORS,
    Opinion,
    Unknown,
    count,
    name_of,
    percent,
    predictor_name,
    usage_of,
)

# The cells of a row: name, seeds, validation F1, score with its interval and a mark, test F1.
Cells = list[Any]


def latex_rows(dataset: Dataset, shown: Sequence[Any]) -> Iterator[Cells]:
    """The rows of a data set's LaTeX table: configurations, then the references of the best, then added predictors."""
    for one in shown:
        found = None if one.only_label else dataset.against_baseline.get(one)
        means = [one.mean(part, "macro_f1") for part in ("validation", "test")]
        yield _cells(name_of(one), count(len(one.tested)), means[0], dataset.score(one), means[1], found)
    chosen = dataset.best or dataset.configurations[0]
    for kind in chosen.tested[0].kinds[1:]:
        if kind in ("both", "baseline"):
            score = dataset.score(chosen, kind)
        else:
            score = share_of_metrics(chosen.best_seed.on_test(kind), dataset.metric)
        means = [chosen.mean(part, "macro_f1", kind) for part in ("validation", "test")]
        yield _cells(predictor_name(chosen, kind), "", means[0], score, means[1], None)
    for added in dataset.added:
        measured = added_metrics(added.test)
        validation = added_metrics(added.validation) if added.validation else None
        f1 = validation["macro_f1"] if validation and validation["n"] >= 30 else None
        score = share_of_metrics(measured, dataset.metric)
        found = dataset.added_above_baseline.get(added.name)
        yield _cells(added.name, "", f1, score, measured["macro_f1"], found)


def _cells(name: str, seeds: str, validation: float | None, score: Score, f1: float, found: Gap | None) -> Cells:
    cells: Cells = [name.replace(MINUS, "-"), seeds, "--" if validation is None else percent(validation)]
    cells.append(percent(score.value))
    cells += ["" if bound is None else percent(bound) for bound in (score.low, score.high)]
    mark = r"\ast" if found and found.is_better else r"\dagger" if found and found.is_worse else ""
    return [*cells, mark, percent(f1)]


def checklist(study: Study, datasets: Sequence[Dataset]) -> Opinion:
    """The texts of `checklist.md`; its tables, of the tweets of each corpus, are named by their place."""
    opinion = Opinion()
    completed = study.completed
    opinion.say("^Filled from the records of", count(len(study.runs)), Unknown("methods", ".*"))
    usage = usage_of(study.runs)
    hours = [(usage.gpu + usage.encoder_gpu) / 3600, (usage.cpu + usage.encoder_cpu) / 3600]
    opinion.say("^Time of all runs", *(f"{number:.2f}" for number in hours), count(usage.attempts))
    opinion.say("^Runs: ", count(len(study.runs)), count(len(completed)))
    weights = [run.result["parameters"] for run in completed if run.result]
    best = datasets[0].best if datasets else None
    if weights:
        ours = [count(round(fmean(result["parameters"] for result in best.best_seed.results)))] if best else []
        opinion.say("^Trainable weights: ", count(min(weights)), count(max(weights)), *ours)
    configurations = [one for dataset in datasets for one in dataset.configurations]
    if configurations:
        seeds = sorted({run.settings["seed"] for run in completed})
        sizes = [len(one.tested) for one in configurations]
        most = [str(max(sizes))] if max(sizes) > min(sizes) else []
        opinion.say("^Seeds: ", *map(str, seeds), str(min(sizes)), *most)
    for grid in study.grids:
        if grid.plan:
            opinion.say(rf"^{grid.name} \(", count(len(grid.plan["runs"])))
    _corpora(opinion, study)
    return opinion


def _corpora(opinion: Opinion, study: Study) -> None:
    seen: dict[str, Run] = {}
    for run in study.completed:
        assert run.record
        seen.setdefault(run.record["data_fingerprint"], run)
    for number, run in enumerate(seen.values()):
        assert run.config
        data = run.config["data"]
        opinion.names.add(data["source"])
        fractions = [percent(data["validation_fraction"])]
        if data["folds"]:
            opinion.say(f", fold {data['fold']} of", str(data["fold"]), str(data["folds"]))
            opinion.say("^Split: cross-validation", str(data["folds"]), *fractions)
        else:
            opinion.say("^Split: by a hash", *fractions, percent(data["test_fraction"]))
        if data["train_rows"]:
            opinion.say("^Trained on", count(data["train_rows"]))
        manifest = study.manifest(run)
        if manifest is None:
            continue
        report = manifest["report"]
        opinion.say("^Rows: ", count(report["read"]), count(report["kept"]))
        left_out = [*report["left_out"].values(), *(rows["count"] for rows in report["refused"].values())]
        for rows in left_out:
            opinion.say("^Excluded: ", count(rows))
        assert run.result
        parts = [
            "train",
            "validation",
            "test",
            *sorted({*run.result["scores"]["network"]} - {"train", "validation", "test"}),
        ]
        table: list[Row] = []
        for part in parts:
            counts = report["parts"][part]
            row: Row = {"part": part, "tweets": count(counts["rows"])}
            for name, n in zip(run.classes, counts["classes"], strict=True):
                row[name] = f"{count(n)} ({percent(n / counts['rows'])} %)"
            table.append(row)
        opinion.tables[str(number)] = table


def evaluated(run: Run) -> Row:
    """What `evaluate RUN --out` says of the run's own predictors: their metrics by name and part."""
    assert run.result
    models: Row = {}
    for kind in run.result["scores"]:
        models[PREDICTORS[kind]] = {
            part: named(run.measured(part, kind), run.classes) for part in run.result["scores"][kind]
        }
    return models


def named(measured: Row, classes: Sequence[str]) -> Row:
    """Metrics by name, those of each class by its name."""
    shown = {name: value for name, value in measured.items() if name not in ("sizes", "precision", "recall")}
    for name in ("precision", "recall"):
        shown[name] = dict(zip(classes, measured[name], strict=True))
    pairs = zip(measured["precision"], measured["recall"], strict=True)
    shown["f1"] = dict(zip(classes, (2 * p * r / (p + r) if p + r else 0.0 for p, r in pairs), strict=True))
    return shown
