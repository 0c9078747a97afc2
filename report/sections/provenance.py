"""Code versions, data, hardware, compute time, commands and methods."""

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from report.compare.cost import usage_of
from report.compare.findings import Findings
from report.read import Run, Study
from report.render import wording
from report.render.blocks import Block, Bullets, Column, Command, Fold, ReportSection, Row, Table, Text, Tiles, column
from report.render.wording import code, escape, joined
from report.sections.names import GRID_COLUMN, command_for_run, run_name
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.records import GridPlan, RunRecord
from sentiment.runs.run_dir import Results

_METHODS = {
    "Selection": "All selection uses the validation set: the configuration by mean F1 over seeds; its run by F1; of "
    "that run the simplest predictor (linear baseline, network, or their ensemble, which averages both probabilities) "
    "that a paired test does not show to be worse than the best; the best value of a setting by the mean F1 of its "
    "runs. Configurations trained on fewer labelled tweets are not eligible. The test set chooses nothing: it "
    "estimates scores and differences.",
    "Significant, better, worse": "All these words rest on one test: the difference in mean test {metric} on the "
    "common test tweets, generalising over seeds and tweets. Seeds and tweets are two crossed random factors "
    "(two-way random-effects model). The variance between seeds is pooled over configurations (in label curves: "
    "over those with the same training size); a configuration with larger seed variance uses its own estimate, and its "
    "own degrees of freedom if it spreads more than the others (F test, p < 0.25). "
    "Added to this is the variance over tweets, less the part already contained in the seed variance. The "
    "standard error is multiplied by the mean of the components\u2019 t quantiles, weighted by their variances "
    "(Cochran and Cox 1950), which keeps the type I error at 5 % even with two seeds. We call a "
    "difference significant if its adjusted p is below 0.05: p-values of all comparisons of one family are adjusted "
    "by Benjamini and Hochberg (1995), and intervals are false-coverage-rate adjusted (Benjamini and Yekutieli 2005), "
    "so interval and p-value always agree.",
    "One seed each": "A single-seed configuration borrows the pooled seed variance of the others. If no "
    "configuration has several seeds, the variance between matched configurations is used; if each side has one "
    "configuration, only the two trained models are compared, and the text then says so: by the larger p-value of "
    "the mid-p McNemar test and the score test, and by the score interval of Tango (1998).",
    "Several configurations": "Claims are corrected in families, so that what is added to a report changes no claim "
    "of another family: the question of a grid, by the runs of this grid alone; the eligible configurations against "
    "the baseline, and all their pairs, because the best of them was selected; all other configurations, such as "
    "single trials of a search; added predictors; each external test set.",
    "Test {metric} of a configuration": "Mean over seeds, with an interval from the same model, truncated to "
    "0\u2013100 %; of a single trained model, Wilson's interval over tweets.",
    "Comparing two runs interactively": 'The comparison of two trained models as in "One seed each", on their '
    "common test tweets; uncorrected for multiple looks.",
    "Macro recall": "The mean over the classes of the share of their tweets that are right. It is compared where a "
    "grid\u2019s metric, or its early stopping, is macro recall. The tweets of a class are a sample of their own: the "
    "variance over tweets is the sum of the classes\u2019 variances over the square of their number; for two trained "
    "models that of Agresti and Min (2005) by class. The interval of one trained model combines the Wilson intervals "
    "of the classes (Zou and Donner 2008).",
    "The linear baseline": "Logistic regression on TF-IDF of words, word pairs and character 2- to 5-grams within "
    "words, weighted by naive Bayes log-count ratios (NB-SVM, Wang and Manning 2012), plus a negation-aware AFINN "
    "score; trained on the same tweets as the network.",
    "Overfitting": "A run overfits if training minus validation accuracy at the best epoch exceeds the configured "
    "threshold.",
    "Calibration": "Ten equal-size bins; ECE is the mean absolute distance from the diagonal (Naeini et al. 2015). "
    "Probabilities are temperature-scaled on the validation set; predicted labels do not change.",
}

_METHODS_OF_GOLD = {
    "Predictors on gold tables": "Each two of the added predictors and the lexicon are compared on the tweets that "
    "both answer. Accuracy: the larger p-value of the mid-p McNemar test and the score test, and the score interval of "
    "Tango (1998). Macro recall: the variance of each class\u2019s difference is that of Agresti and Min (2005). "
    "p-values of all pairs are adjusted by Benjamini and Hochberg (1995), intervals by Benjamini and Yekutieli (2005). "
    "All tweets of a gold table are test tweets: none chooses a predictor.",
}


def methods(findings: Findings, of_questions: Sequence[tuple[str, str]]) -> ReportSection:
    """The methods used in this report, with those of the questions; empty before any run has completed."""
    title = "Methods"
    of_gold = _METHODS_OF_GOLD if findings.study.golds else {}
    used = [*_used_methods(findings), *of_gold.items(), *dict.fromkeys(of_questions)]
    if not used:
        return ReportSection(title, [])
    return ReportSection(title, [Fold("How numbers, intervals and tests are computed", [Tiles(used)])])


def _used_methods(findings: Findings) -> list[tuple[str, str]]:
    """The methods used for runs."""
    if findings.main is None:
        return []
    configurations = [configuration for dataset in findings.datasets for configuration in dataset.configurations]
    is_unused = {
        "One seed each": all(len(configuration.runs) > 1 for configuration in configurations),
        "Several configurations": len(findings.main.configurations) < 2,
        "Comparing two runs interactively": findings.packed is None or len(findings.packed["ids"]) < 2,
        "Macro recall": all(dataset.metric == "accuracy" for dataset in findings.datasets),
        "Calibration": findings.best.test is None,
    }
    metric = findings.main.metric_name
    used = [(name, text) for name, text in _METHODS.items() if not is_unused.get(name)]
    return [(name.format(metric=metric), text.format(metric=metric)) for name, text in used]


_HASH = 12
_MAX_PROBLEMS = 200


def provenance(findings: Findings) -> ReportSection:
    """Code, versions, hardware, compute time, data and commands."""
    study, problems = findings.study, findings.problems
    content: list[Block] = []
    if study.runs:
        content.append(Bullets(_environment(study)))
        if findings.recommended:
            export = command_for_run(findings.recommended.run, "export", "model.zip")
            content.append(Command("Export the recommended run (with model card)", export))
        content += [_usage_table(study), *_data_table(findings), _command_table(study)]
    if problems:
        content += [Text(f"Unreadable files ({len(problems):,})", "heading"), Bullets(problems[:_MAX_PROBLEMS])]
    return ReportSection("Provenance", content)


def _environment(study: Study) -> list[Any]:
    records = [run.record for run in study.runs if run.record]
    attempts = [attempt for record in records for attempt in record.attempts]
    if not attempts:
        return ["No run has started yet."]
    commits = Counter(_commit(record) for record in records)
    versions = Counter(
        ", ".join(f"{name} {version}" for name, version in record.versions.items()) for record in records
    )
    devices = Counter("CPU" if attempt.device == "cpu" else attempt.device for attempt in attempts)
    hosts = sorted({attempt.host for attempt in attempts})
    jobs = {attempt.job for attempt in attempts if attempt.job and not attempt.job.startswith(LOCAL_JOB_PREFIX)}
    slurm = wording.plural(len(jobs), "Slurm job") if jobs else "no Slurm job"
    host_names = wording.shortened(", ".join(hosts), 200)
    on_hosts = f"; {wording.plural(len(hosts), 'host')} ({host_names}), {slurm}."
    return [
        Markup("Code: {}.").format(_listed_with_counts(commits)),
        *_mixed_code(study),
        Markup("Versions: {}.").format(_listed_with_counts(versions)),
        joined(["Hardware:", joined([_listed_with_counts(devices, "attempt"), on_hosts], "")]),
        *_moved_runs(study),
    ]


def _mixed_code(study: Study) -> list[str]:
    codes = {run_name(run): _codes(run.record) for run in study.runs if run.record}
    mixed = [name for name, hashes in codes.items() if len(hashes) > 1]
    if mixed:
        return [f"{_resumed(mixed)} a different code version: {wording.shortened(', '.join(mixed), 200)}."]
    return ["No run mixed code versions."] if any(codes.values()) else []


def _resumed(runs: Sequence[str]) -> str:
    return f"{wording.plural(len(runs), 'run')} {'was' if len(runs) == 1 else 'were'} resumed with"


def _codes(record: RunRecord) -> set[str]:
    """Hashes of the code of all attempts since the run last started from scratch."""
    starts = [number for number, attempt in enumerate(record.attempts) if attempt.first_step == 0]
    first = max(starts, default=0)
    return {attempt.code for attempt in record.attempts[first:] if attempt.code}


def _moved_runs(study: Study) -> list[Markup]:
    hardware = {run_name(run): list(dict.fromkeys(run.record.hardware)) for run in study.runs if run.record}
    moved = {name: " and ".join(kinds) for name, kinds in hardware.items() if len(kinds) > 1}
    if not moved:
        return []
    sentence = f"{_resumed([*moved])} different hardware and may not be reproducible bit for bit"
    kinds = _listed_with_counts(Counter(moved.values()))
    return [joined([f"{sentence}: {wording.shortened(', '.join(moved), 400)}; hardware:", kinds])]


def _commit(record: RunRecord) -> Markup:
    """The commit, as a link where its repository has an address."""
    last = record.attempts[-1]
    if last.git_commit is None:
        return Markup("not from a git checkout")
    commit = escape(last.git_commit[:_HASH])
    if last.git_remote:
        commit = Markup("[{}]({}/commit/{})").format(commit, last.git_remote, last.git_commit)
    return Markup("commit {}{}").format(commit, " with uncommitted changes" if last.git_dirty else "")


def _listed_with_counts(values: Counter[Any], noun: str = "run") -> Markup:
    if len(values) == 1:
        return escape(next(iter(values)))
    return joined(
        [joined([value, f"({wording.plural(number, noun)})"]) for value, number in values.most_common()], "; "
    )


def _usage_table(study: Study) -> Fold:
    grids = [(grid.name, grid.runs) for grid in study.grids]
    if study.single.runs:
        grids.append(("single runs", study.single.runs))
    if len(grids) > 1:
        grids.append(("all", study.runs))
    rows: list[Row] = []
    for name, runs in grids:
        usage = usage_of(runs)
        completed = sum(run.completed is not None for run in runs)
        row = {"grid": name, "runs": len(runs), "completed": completed, "attempts": usage.attempts}
        row |= {"gpu_hours": usage.total.gpu / 3600, "cpu_hours": usage.total.cpu / 3600}
        encoding = usage.encoding
        rows.append(row | {"encoder_gpu_hours": encoding.gpu / 3600, "encoder_cpu_hours": encoding.cpu / 3600})
    has_encoder = any(row["encoder_cpu_hours"] for row in rows)
    columns = [
        column("Grid", "grid"),
        column("Runs", "runs", "count"),
        column("Completed", "completed", "count"),
        column("Attempts", "attempts", "count"),
        column("GPU-hours", "gpu_hours", ",.2f"),
        column("CPU-hours", "cpu_hours", ",.2f"),
    ]
    if has_encoder:
        columns.append(column("For encoder vectors: GPU-hours", "encoder_gpu_hours", ",.2f"))
        columns.append(column("CPU-hours", "encoder_cpu_hours", ",.2f"))
    caption = (
        "Compute time per grid: the time for which a GPU was held, and the CPU time of all threads. Attempts whose "
        "process was killed are unknown."
    )
    return Fold(caption, [Table("usage", "", columns, rows)])


def _data_table(findings: Findings) -> list[Fold]:
    completed = [run.completed for run in findings.study.runs if run.completed]
    by_corpus = {run.record.data_fingerprint: run for run in completed}
    if not by_corpus:
        return []
    number_of_runs = Counter(run.record.data_fingerprint for run in completed)
    rows: list[Row] = []
    for fingerprint, run in by_corpus.items():
        report = findings.counts[fingerprint]
        data = run.config.data
        stop_words = wording.parameter_value("data.text.stop_words", data.text.stop_words)
        row: dict[str, Any] = {"source": data.source, "fingerprint": fingerprint[:_HASH]}
        row |= {"runs": number_of_runs[fingerprint], "stop_words": stop_words}
        if report:
            row |= {"read": report.read, "kept": report.kept, "duplicates": report.duplicates}
            row |= {part: of_part.rows for part, of_part in report.parts.items()}
        rows.append(row)
    columns = [
        column("Source", "source"),
        column("Fingerprint", "fingerprint"),
        column("Stop words", "stop_words"),
        column("Runs", "runs", "count"),
        column("Tweets read", "read", "count"),
        column("Tweets kept", "kept", "count"),
        column("Duplicates removed", "duplicates", "count"),
        *(column(part.capitalize(), part, "count") for part in ("train", "validation", "test")),
    ]
    caption = "Data sets (one row per source, preprocessing and split), numbers of tweets."
    return [Fold(caption, [Table("data", "", columns, rows)])]


def _command_table(study: Study) -> Fold:
    plans = {grid.name: grid.plan for grid in study.grids}
    rows: list[Row] = []
    for run in study.runs:
        command = command_of(run, plans[run.grid] if run.grid else None, study.results)
        rows.append({"grid": run.grid, "run": run_name(run), "command": command})

    def show(row: Row) -> Any:
        return code(row["command"]) if row["command"] else wording.DASH

    columns = [GRID_COLUMN, column("Run", "run"), Column("Command", "command", show, numeric=False)]
    return Fold("Commands to reproduce each run.", [Table("commands", "", columns, rows)])


def command_of(run: Run, plan: GridPlan | None, results: Results) -> str | None:
    """Shell command that retrains this configuration; None if the run directory lacks the information."""
    if plan and run.planned:
        return shlex.join([*plan.command(run.planned), *results.options])
    if run.record is None:
        return None
    arguments = run.record.command[1:]
    if arguments[:1] != ["train"]:
        # Runs started by a job or from Python are retrained from their stored configuration file.
        return shlex.join(["sentiment", "train", str(run.run_dir.config_file), *results.options])
    if "--results" in arguments:  # relative to another directory than the report's, perhaps
        typed = arguments.index("--results")
        arguments = arguments[:typed] + arguments[typed + 2 :]
    return shlex.join(["sentiment", *arguments, *results.options])
