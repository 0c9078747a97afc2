"""How it was made: code, data, machines, attempts and what they took, and the command for every row."""

import shlex
from collections import Counter
from typing import Any

from report.analysis import usage as effort
from report.read.load import Grid, Run, Study
from report.read.tweets import read_counts
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Heading, ReportSection, Row, Table, Text
from report.render.markdown import code

_HASH = 12


def provenance(study: Study) -> ReportSection:
    """From the records of all attempts."""
    content: list[Block] = [Bullets(_facts(study)), _effort_table(study), *_data_blocks(study)]
    content += [Heading("The command for every run"), _commands(study)]
    if study.problems:
        content += [Heading("What could not be read"), Bullets(list(dict.fromkeys(study.problems)))]
    return ReportSection("How it was made", content)


def _facts(study: Study) -> list[str]:
    records = [run.record for run in study.runs if run.record]
    attempts = [attempt for record in records for attempt in record.attempts]
    if not attempts:
        return ["No run has begun yet."]
    commits = Counter(_commit(record.git_commit, record.git_dirty) for record in records)
    versions = Counter(", ".join(f"{name} {one}" for name, one in record.versions.items()) for record in records)
    devices = Counter(attempt.device for attempt in attempts)
    hosts = sorted({attempt.host for attempt in attempts})
    jobs = {attempt.job for attempt in attempts if attempt.job}
    where = f"{wording.plural(len(jobs), 'Slurm job')}" if jobs else "outside Slurm"
    latest = max(attempt.end or attempt.start for attempt in attempts)
    return [
        f"Code: {_counted(commits)}.",
        f"Versions: {_counted(versions)}.",
        f"Machines: {_counted(devices, 'attempt')} on {wording.plural(len(hosts), 'host')} "
        f"({wording.shortened(', '.join(hosts), 200)}), {where}.",
        f"State of {latest.replace('T', ' ')}, the newest word of any attempt.",
        f"Energy is estimated: {effort.METHOD}.",
    ]


def _commit(commit: str | None, dirty: bool | None) -> str:
    if commit is None:
        return "not from a git checkout"
    return f"commit {commit[:_HASH]}{' with uncommitted changes' if dirty else ''}"


def _counted(found: Counter[str], noun: str = "run") -> str:
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{what} ({wording.plural(number, noun)})" for what, number in found.most_common())


def _effort_table(study: Study) -> Table:
    rows: list[Row] = [_effort_row(grid.name, grid.runs) for grid in study.grids]
    if len(study.grids) > 1:
        rows.append(_effort_row("all", study.runs))
    columns = [
        blocks.text("Grid", "grid"),
        blocks.count("Runs", "runs"),
        blocks.count("Completed", "completed"),
        blocks.count("Attempts", "attempts"),
        blocks.count("Stopped by a signal", "signals"),
        blocks.count("Stopped by the time limit", "deadlines"),
        blocks.count("Requeues", "requeues"),
        blocks.count("Failed", "failures"),
        blocks.count("Without an end", "silent"),
        blocks.duration("Work redone", "lost_seconds"),
        blocks.number("GPU-hours", "gpu_hours", 2),
        blocks.number("CPU-hours", "cpu_hours", 2),
        blocks.number("kWh, estimated", "kilowatt_hours", 3),
    ]
    caption = (
        "What the runs took. Hours are those of attempts that wrote down their end, from start to end; work redone "
        "is that of completed runs, steps done twice at the run's mean speed."
    )
    return Table("effort", caption, columns, rows)


def _effort_row(name: str, runs: list[Run]) -> dict[str, Any]:
    completed = sum(run.completed is not None for run in runs)
    return {"grid": name, "runs": len(runs), "completed": completed} | vars(effort.usage_of(runs))


def _data_blocks(study: Study) -> list[Block]:
    """The corpora that runs were made on, by fingerprint."""
    by_corpus = {run.completed.record.data_fingerprint: run.completed for run in study.runs if run.completed}
    used = Counter(run.completed.record.data_fingerprint for run in study.runs if run.completed)
    rows: list[Row] = []
    for fingerprint, run in by_corpus.items():
        counts = read_counts(run, study.results)
        parts = counts["parts"] if counts else {}
        row: dict[str, Any] = {"source": run.config.data.source, "fingerprint": fingerprint[:_HASH]}
        row |= {"runs": used[fingerprint], "stop_words": run.config.data.text.stop_words}
        row |= {name: counts[name] if counts else None for name in ("read", "kept", "duplicates")}
        row |= {part: parts.get(part, {}).get("rows") for part in ("train", "validation", "test", "second_test")}
        rows.append(row)
    if not rows:
        return []
    columns = [
        blocks.text("Source", "source"),
        blocks.text("Fingerprint", "fingerprint"),
        blocks.text("Stop words removed", "stop_words"),
        blocks.count("Runs", "runs"),
        *(
            blocks.count(name.capitalize(), name)
            for name in ("read", "kept", "duplicates", "train", "validation", "test")
        ),
        blocks.count("Second test", "second_test"),
    ]
    caption = (
        "The corpora, by the fingerprint of source, cleaning and split; counts of tweets where the corpus is here."
    )
    missing = [row for row in rows if row["kept"] is None]
    note: list[Block] = [Text(f"{wording.plural(len(missing), 'corpus')} not on this machine.")] if missing else []
    return [Heading("Data"), *note, Table("data", caption, columns, rows)]


def _commands(study: Study) -> Table:
    rows: list[Row] = [
        {"grid": grid.name, "run": run.title, "command": command(grid, run)}
        for grid in study.grids
        for run in grid.runs
    ]
    columns = [
        blocks.text("Grid", "grid"),
        blocks.text("Run", "run"),
        blocks.Column("Command", "command", lambda row: code(row["command"]), numeric=False),
    ]
    return Table(
        "commands", "One command for each run: the same configuration, the same run.", columns, rows, folded=True
    )


def command(grid: Grid, run: Run) -> str:
    """What trains this run here and now; for a run of a grid, from the grid's base and its parameters."""
    if grid.plan and run.planned:
        settings = [f"{name}={_yaml(value)}" for name, value in run.planned.parameters.items()]
        options = [part for setting in settings for part in ("--set", setting)]
        return shlex.join(["python", "-m", "sentiment", "train", grid.plan.base, *options])
    if run.record is None or not run.record.command:
        return wording.DASH
    return shlex.join(["python", "-m", "sentiment", *run.record.command[1:]])


def _yaml(value: Any) -> str:
    """As `--set` reads it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
