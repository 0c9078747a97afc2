"""How it was made: code, data, machines, attempts and what they took, and the command for every run."""

import shlex
from collections import Counter
from typing import Any

from report.analysis.findings import Findings
from report.analysis.measures.usage import usage_of
from report.read.load import Run, Study
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Heading, ReportSection, Row, Table, Text
from report.render.markdown import code
from report.sections.names import grid_column, run_name
from sentiment.runs.records import GridPlan, RunRecord

_HASH = 12
_TRAIN = ("python", "-m", "sentiment", "train")

_MOST_PROBLEMS = 200


def provenance(findings: Findings) -> ReportSection:
    """From the records of all attempts."""
    study = findings.study
    content: list[Block] = [Bullets(_facts(study)), _usage_table(study), *_data_blocks(findings)]
    content += [Heading("The command for every run"), _commands(study)]
    if findings.problems:
        shown = list(findings.problems[:_MOST_PROBLEMS])
        if more := len(findings.problems) - len(shown):
            shown.append(f"and {more:,} more")
        content += [Heading("What could not be read"), Bullets(shown)]
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
        *_mixed_code(study),
        f"Versions: {_counted(versions)}.",
        f"Machines: {_counted(devices, 'attempt')} on {wording.plural(len(hosts), 'host')} "
        f"({wording.shortened(', '.join(hosts), 200)}), {where}.",
        *_continued_elsewhere(study),
        f"As of {latest.replace('T', ' ')}, the newest start or end of an attempt.",
    ]


def _mixed_code(study: Study) -> list[str]:
    """Whether one version of the code computed each run, as far as their attempts say."""
    codes = {run_name(run): _codes(run.record) for run in study.runs if run.record}
    mixed = [name for name, found in codes.items() if len(found) > 1]
    if mixed:
        went = f"{wording.plural(len(mixed), 'run')} went on with other code than had begun"
        return [f"{went} {'it' if len(mixed) == 1 else 'them'}: {wording.shortened(', '.join(mixed), 200)}."]
    return ["Each run was computed by one version of the code."] if any(codes.values()) else []


def _codes(record: RunRecord) -> set[str]:
    """Hashes of the code of all attempts since the run last began."""
    first = max((number for number, one in enumerate(record.attempts) if one.first_step == 0), default=0)
    return {attempt.code for attempt in record.attempts[first:] if attempt.code}


def _continued_elsewhere(study: Study) -> list[str]:
    """Runs whose digits may differ from those of a run on one kind of hardware."""
    moved = [run for run in study.runs if run.record and len({*run.record.hardware}) > 1]
    kinds = Counter(" and ".join(dict.fromkeys(run.record.hardware)) for run in moved if run.record)
    if not moved:
        return []
    names = wording.shortened(", ".join(run_name(run) for run in moved), 400)
    return [
        f"Continued on other hardware, so that a repetition may differ in its last digits: "
        f"{wording.plural(len(moved), 'run')} ({names}), on {_counted(kinds)}."
    ]


def _commit(commit: str | None, dirty: bool | None) -> str:
    if commit is None:
        return "not from a git checkout"
    return f"commit {commit[:_HASH]}{' with uncommitted changes' if dirty else ''}"


def _counted(found: Counter[str], noun: str = "run") -> str:
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{what} ({wording.plural(number, noun)})" for what, number in found.most_common())


def _usage_table(study: Study) -> Table:
    rows: list[Row] = [_usage_row(grid.name, grid.runs) for grid in study.grids]
    if study.singles:
        rows.append(_usage_row("single runs", study.singles))
    if len(rows) > 1:
        rows.append(_usage_row("all", study.runs))
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
    ]
    caption = (
        "What the runs took. Hours are those of attempts whose end is recorded, from start to end (a completed run "
        "without such an attempt counts with the seconds that it trained). Work redone: steps that completed runs did "
        "twice, at the run's mean speed."
    )
    return Table("usage", caption, columns, rows)


def _usage_row(name: str, runs: list[Run]) -> dict[str, Any]:
    completed = sum(run.completed is not None for run in runs)
    return {"grid": name, "runs": len(runs), "completed": completed} | vars(usage_of(runs))


def _data_blocks(findings: Findings) -> list[Block]:
    """The corpora that runs were made on, by fingerprint."""
    completed = [run.completed for run in findings.study.runs if run.completed]
    by_corpus = {run.record.data_fingerprint: run for run in completed}
    used = Counter(run.record.data_fingerprint for run in completed)
    rows: list[Row] = []
    for fingerprint, run in by_corpus.items():
        counts = findings.counts[fingerprint]
        parts = counts["parts"] if counts else {}
        row: dict[str, Any] = {"source": run.config.data.source, "fingerprint": fingerprint[:_HASH]}
        row |= {"runs": used[fingerprint], "stop_words": run.config.data.text.stop_words}
        row |= {name: counts[name] if counts else None for name in ("read", "kept", "duplicates")}
        row |= {part: parts.get(part, {}).get("rows") for part in ("train", "validation", "test")}
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
    ]
    caption = (
        "The corpora, by the fingerprint of source, cleaning and split; counts of tweets where the corpus is here."
    )
    missing = sum(row["kept"] is None for row in rows)
    are = "corpus is" if missing == 1 else "corpora are"
    note: list[Block] = [Text(f"{missing:,} {are} not on this machine.")] if missing else []
    return [Heading("Data"), *note, Table("data", caption, columns, rows)]


def _commands(study: Study) -> Table:
    plans = {grid.name: grid.plan for grid in study.grids}
    rows: list[Row] = [
        {"grid": run.grid, "run": run_name(run), "command": command_of(run, plans[run.grid] if run.grid else None)}
        for run in study.runs
    ]
    columns = [
        grid_column(),
        blocks.text("Run", "run"),
        blocks.Column("Command", "command", _shown_command, numeric=False),
    ]
    caption = "One command for each run, which trains the same configuration to the same result."
    return Table("commands", caption, columns, rows, folded=True)


def _shown_command(row: Row) -> Any:
    return wording.DASH if row["command"] is None else code(row["command"])


def command_of(run: Run, plan: GridPlan | None) -> str | None:
    """What trains this very configuration here and now, for a shell; None if its directory does not say.

    Args:
        plan: of the run's grid; None for a single run, or where the plan cannot be read.
    """
    if plan and run.planned:
        return shlex.join(plan.command(run.planned))
    if run.record is None:
        return None
    typed = run.record.command[1:]
    if typed[:1] == ["combine"]:
        return shlex.join(["python", "-m", "sentiment", *typed])
    if typed[:1] == ["train"]:
        return shlex.join([*_TRAIN, *typed[1:]])
    # A task or a program of somebody's has trained it; its stored configuration is a configuration file too.
    return shlex.join([*_TRAIN, str(run.run_dir.config_file)])
