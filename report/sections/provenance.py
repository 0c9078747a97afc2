"""How it was made: code, data, machines, attempts and what they took, the command for every run, and methods."""

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from report.compare.advice import usage_of
from report.compare.findings import Findings
from report.read import Run, Study
from report.render import wording
from report.render.blocks import Block, Bullets, Column, Command, Facts, Fold, ReportSection, Row, Table, Text, column
from report.render.wording import code
from report.sections.names import GRID_COLUMN, command_on, run_name
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.records import GridPlan, RunRecord

_METHODS = {
    "Choosing": "Everything is chosen on validation tweets: the configuration by its mean F1 over seeds, what of it "
    "predicts (net, linear baseline or the mean of both) by mean accuracy over seeds, the best value of a setting by "
    "the mean F1 of its runs. Configurations with fewer labels do not compete. Test tweets say how sure that is: where "
    "they show no gain over the linear baseline, that is recommended, since it is cheaper.",
    "Better, worse, beats, shown": "One comparison stands behind every such word: the difference of mean test "
    "accuracies on the tweets that both sides have, for other seeds and other tweets. Seeds and tweets are two crossed "
    "random factors (analysis of variance). The variance between seeds is pooled over the configurations beside it, "
    "for numbers of labels over those with as many; a configuration whose seeds differ more keeps its own. To it comes "
    "the variance over tweets that is not between seeds already. Each part counts with Student's quantile of its own "
    "degrees of freedom (Banerjee 1960), which holds the level with two seeds as well. A difference is shown if its "
    "adjusted p is below 0.05: p-values of all claims that stand together are adjusted by Benjamini and Hochberg "
    "(1995), and intervals are widened with them (Benjamini and Yekutieli 2005), so that an interval excludes zero "
    "just where the adjusted p is below 0.05.",
    "One seed each": "Where others have several seeds, their pooled variance is taken for a single seed too. Where "
    "none has, the variance between matched configurations takes its place; where there is but one of each, the exact "
    "McNemar test (1947) compares these trained models, and the sentence says that it holds for these alone.",
    "Several configurations": "Claims are corrected in families, so that what is added to a report changes no claim "
    "of another family: the question of a grid, by the runs of this grid alone; the configurations that one is "
    "recommended of, against the baseline, and all their pairs (not only those with the best, since seeds that were "
    "lucky when they were selected are lucky on test tweets too); all other configurations, such as single trials of a "
    "search; added predictors; each external test set.",
    "Test accuracy of a configuration": "Mean over seeds, with the interval of the same comparison, cut off at 0 and "
    "100 %; of a single trained model Wilson's interval over tweets.",
    "Two runs in the page": "A single comparison: the exact McNemar test on the tweets that just one has right, with "
    "Clopper and Pearson's interval; of these two trained models, and not corrected for other pairs that a reader "
    "looks at.",
    "The linear baseline": "Logistic regression on TF-IDF of words, word pairs and 2 to 5 characters of a word, "
    "weighted by naive Bayes, and on what AFINN's rated words come to with negation; trained on the same tweets as the "
    "net.",
    "Overfitting": "By the rule of each configuration: training accuracy less validation accuracy at the best epoch "
    "above a threshold.",
    "Calibration": "Ten groups of equally many tweets; the expected calibration error is their mean distance from the "
    "diagonal (Naeini et al. 2015). Log-odds were divided by a temperature that was fitted on validation tweets, which "
    "changes no label.",
}


def methods(findings: Findings, of_questions: Sequence[tuple[str, str]]) -> ReportSection:
    """Those that some figure or sentence rests on, with what questions add; none while no run is completed."""
    if findings.main is None:
        return ReportSection("Methods", [])
    configurations = [one for dataset in findings.datasets for one in dataset.configurations]
    unused = {
        "One seed each": all(len(one.runs) > 1 for one in configurations),
        "Several configurations": len(findings.main.configurations) < 2,
        "Two runs in the page": findings.packed is None or len(findings.packed["ids"]) < 2,
        "Calibration": findings.best.scores is None,
    }
    chosen = [method for method in _METHODS.items() if not unused.get(method[0])]
    every = Facts([*chosen, *dict.fromkeys(of_questions)])
    return ReportSection("Methods", [Fold("How numbers, intervals and tests are computed", [every])])


_HASH = 12


def provenance(findings: Findings) -> ReportSection:
    """From the records of all attempts."""
    study, problems = findings.study, findings.problems
    content: list[Block] = [Bullets(_facts(study))]
    if findings.recommended:
        command = command_on(findings.recommended.run, study.results, "export", "model.zip")
        content.append(Command("To hand the recommended model on, with its card", command))
    content += [_usage_table(study), *_data_table(findings), _commands(study)]
    if problems:
        content += [Text(f"What could not be read: {len(problems):,}", "heading"), Bullets(problems[:200])]
    return ReportSection("How it was made", content)


def _facts(study: Study) -> list[str]:
    records = [run.record for run in study.runs if run.record]
    attempts = [attempt for record in records for attempt in record.attempts]
    if not attempts:
        return ["No run has begun yet."]
    commits = Counter(_commit(record) for record in records)
    versions = Counter(", ".join(f"{name} {one}" for name, one in record.versions.items()) for record in records)
    devices = Counter(attempt.device for attempt in attempts)
    hosts = sorted({attempt.host for attempt in attempts})
    jobs = {attempt.job for attempt in attempts if attempt.job and not attempt.job.startswith(LOCAL_JOB_PREFIX)}
    where = wording.plural(len(jobs), "Slurm job") if jobs else "outside Slurm"
    return [
        f"Code: {_counted(commits)}.",
        *_mixed_code(study),
        f"Versions: {_counted(versions)}.",
        f"Machines: {_counted(devices, 'attempt')} on {wording.plural(len(hosts), 'host')} "
        f"({wording.shortened(', '.join(hosts), 200)}), {where}.",
        *_continued_elsewhere(study),
    ]


def _mixed_code(study: Study) -> list[str]:
    codes = {run_name(run): _codes(run.record) for run in study.runs if run.record}
    if mixed := [name for name, found in codes.items() if len(found) > 1]:
        went = f"{wording.plural(len(mixed), 'run')} went on with other code than had begun"
        return [f"{went} {'it' if len(mixed) == 1 else 'them'}: {wording.shortened(', '.join(mixed), 200)}."]
    return ["Each run was computed by one version of the code."] if any(codes.values()) else []


def _codes(record: RunRecord) -> set[str]:
    """Hashes of the code of all attempts since the run last began."""
    first = max((number for number, one in enumerate(record.attempts) if one.first_step == 0), default=0)
    return {attempt.code for attempt in record.attempts[first:] if attempt.code}


def _continued_elsewhere(study: Study) -> list[str]:
    kinds = [(run_name(run), [*dict.fromkeys(run.record.hardware)]) for run in study.runs if run.record]
    moved = [(name, " and ".join(kind)) for name, kind in kinds if len(kind) > 1]
    if not moved:
        return []
    names = wording.shortened(", ".join(name for name, _ in moved), 400)
    return [
        f"Continued on other hardware, so that a repetition may differ in its last digits: "
        f"{wording.plural(len(moved), 'run')} ({names}), on {_counted(Counter(kind for _, kind in moved))}."
    ]


def _commit(record: RunRecord) -> str:
    last = record.attempts[-1]
    if last.git_commit is None:
        return "not from a git checkout"
    return f"commit {last.git_commit[:_HASH]}{' with uncommitted changes' if last.git_dirty else ''}"


def _counted(found: Counter[str], noun: str = "run") -> str:
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{what} ({wording.plural(number, noun)})" for what, number in found.most_common())


def _usage_table(study: Study) -> Fold:
    grids = [(grid.name, grid.runs) for grid in study.grids]
    grids += [("single runs", study.single.runs)] if study.single.runs else []
    grids += [("all", study.runs)] if len(grids) > 1 else []
    rows = [
        {"grid": name, "runs": len(runs), "completed": sum(run.completed is not None for run in runs)}
        | vars(usage_of(runs))
        for name, runs in grids
    ]
    columns = [
        column("Grid", "grid"),
        column("Runs", "runs", "count"),
        column("Completed", "completed", "count"),
        column("Attempts", "attempts", "count"),
        column("GPU-hours", "gpu_hours", ",.2f"),
        column("CPU-hours", "cpu_hours", ",.2f"),
    ]
    caption = "What the runs took: hours of attempts from start to end, or else the seconds trained."
    return Fold(caption, [Table("usage", "", columns, rows)])


def _data_table(findings: Findings) -> list[Fold]:
    completed = [run.completed for run in findings.study.runs if run.completed]
    by_corpus = {run.record.data_fingerprint: run for run in completed}
    used = Counter(run.record.data_fingerprint for run in completed)
    rows: list[Row] = []
    for fingerprint, run in by_corpus.items():
        counts = findings.counts[fingerprint] or {}
        row: dict[str, Any] = {"source": run.config.data.source, "fingerprint": fingerprint[:_HASH]}
        row |= {"runs": used[fingerprint], "stop_words": run.config.data.text.stop_words}
        row |= {name: counts.get(name) for name in ("read", "kept", "duplicates")}
        rows.append(row | {part: one["rows"] for part, one in counts.get("parts", {}).items()})
    if not rows:
        return []
    parts = ("read", "kept", "duplicates", "train", "validation", "test")
    told = {"source": "Source", "fingerprint": "Fingerprint", "stop_words": "Stop words removed"}
    columns = [column(title, key) for key, title in told.items()]
    columns += [column("Runs", "runs", "count"), *(column(name.capitalize(), name, "count") for name in parts)]
    caption = "The data, by the fingerprint of source, cleaning and split, in tweets."
    return [Fold(caption, [Table("data", "", columns, rows)])]


def _commands(study: Study) -> Fold:
    plans = {grid.name: grid.plan for grid in study.grids}
    rows: list[Row] = [
        {"grid": run.grid, "run": run_name(run), "command": command_of(run, plans[run.grid] if run.grid else None)}
        for run in study.runs
    ]
    shown = Column(
        "Command", "command", lambda row: code(row["command"]) if row["command"] else wording.DASH, numeric=False
    )
    table = Table("commands", "", [GRID_COLUMN, column("Run", "run"), shown], rows)
    return Fold("The command for every run.", [table])


def command_of(run: Run, plan: GridPlan | None) -> str | None:
    """What trains this very configuration here and now, for a shell; None if its directory does not say."""
    if plan and run.planned:
        return shlex.join(plan.command(run.planned))
    if run.record is None:
        return None
    typed = run.record.command[1:]
    # Where a task or a program of somebody's has trained it, its stored configuration is a configuration file too.
    return shlex.join(
        ["sentiment", "train", *(typed[1:] if typed[:1] == ["train"] else [str(run.run_dir.config_file)])]
    )
