"""The second opinion on what is written beside the page: the LaTeX tables, the checklist, and `evaluate --out`."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from tests.oracle.recompute_designs import Dataset
from tests.oracle.recompute_files import Row, Run, Study
from tests.oracle.recompute_words import (
    MINUS,
    PREDICTORS,
    Opinion,
    Unknown,
    count,
    percent,
    usage_of,
)


def latex_cells(row: Row) -> list[Any]:
    """Of a row of the leaderboard: name, seeds, validation F1, score with its interval and a mark, test F1."""
    f1, said = row["validation_macro_f1"], str(row.get("verdict"))
    cells = [row["model"].replace(MINUS, "-"), str(row.get("seeds", "")), "--" if f1 is None else percent(f1)]
    cells.append(percent(row["score"]))
    cells += ["" if row[key] is None else percent(row[key]) for key in ("score_low", "score_high")]
    mark = r"\ast" if said.startswith("better") else r"\dagger" if said.startswith("worse") else ""
    return [*cells, mark, percent(row["test_macro_f1"])]


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
            ends = grid.plan["halving"]["epochs"] if grid.plan["halving"] else []
            opinion.say(rf"^{grid.name} \(", count(len(grid.plan["runs"])), *map(str, ends))
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
