"""Code versions, data, hardware, compute time, commands and methods."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePath
from typing import Any

from markupsafe import Markup

from report.compare.cost import usage_of
from report.compare.findings import Findings
from report.read import Study
from report.render import wording
from report.render.blocks import Block, Command, Details, columns_of
from report.sections.names import command_for
from sentiment.answers.table import ENOUGH_ANSWERS
from sentiment.blocks.content import Bullets, DataTable, Row, Text, Tiles
from sentiment.blocks.wording import joined, shortened
from sentiment.config import PARTS
from sentiment.console import plural
from sentiment.runs.corpus_records import PUBLISHED_DATA
from sentiment.runs.records import Attempt, RunRecord
from sentiment.runs.run_dir import SINGLE


def methods(findings: Findings) -> list[Details]:
    """The methods of all comparisons of runs, whether this report has each or not; without runs, those of tables."""
    if not findings.main and not findings.study.labelled:
        return []
    texts = wording.read_texts("methods")
    known = texts.values() if findings.main else [texts["tables"]]
    values = {"metric": findings.main.metric_name if findings.main else "", "enough": ENOUGH_ANSWERS}
    tiles = [(term.format(**values), text.format(**values)) for term, text in known]
    return [Details("How numbers, intervals and tests are computed", [Tiles(tiles)])]


_HASH = 12
_MAX_PROBLEMS = 200
_VERIFY = Markup(
    "`sentiment report --verify`, with the grids of this report, checks its runs: their files by their digests, "
    "configurations by their ids, and scores by their predictions."
)


def provenance(findings: Findings) -> list[Block]:
    """Code, versions, hardware, compute time, data and commands."""
    study = findings.study
    problems = findings.problems
    content: list[Block] = []
    if study.runs:
        content.append(Bullets([*_published_data(study), *_environment(study)]))
        if best := findings.recommended:
            content.append(
                Command("Use the best model trained here", command_for(best, "predict", "what a lovely day"))
            )
            content.append(Command("Export it, with a model card", command_for(best, "export", "model.zip")))
        content += [_usage_table(study), *_data_table(findings)]
    if problems:
        content += [Text(f"Unreadable files ({len(problems):,})", "heading"), Bullets(problems[:_MAX_PROBLEMS])]
    return content


def _published_data(study: Study) -> list[str]:
    """The origin of the tweets of each built-in source."""
    lines = []
    for source in dict.fromkeys(run.config.data.source for run in study.completed_runs):
        data = PUBLISHED_DATA.get(source)
        if data:
            lines.append(f"Data: {data.name} ({source}); licence: {data.licence}; reference: {data.citation}.")
    return lines


def _environment(study: Study) -> list[Any]:
    records = [run.record for run in study.runs if run.record]
    attempts = [attempt for record in records for attempt in record.attempts]
    if not attempts:
        return ["No run has started yet."]
    trained_by = Counter(record.attempts[-1].code[:_HASH] for record in records)
    by_code = f"The code that trains differs between runs, by its SHA-256: {counted(trained_by, 'run')}."
    codes = {run.run_id: _codes(run.record) for run in study.runs if run.record}
    hardware = {run.run_id: {*run.record.hardware} for run in study.runs if run.record}
    devices = Counter("CPU" if attempt.device == "cpu" else attempt.device for attempt in attempts)
    versions = Counter(versions for record in records for versions in {*map(_versions, record.attempts)})
    return [
        Markup("Code: {}.").format(counted(_commits(records), "run")),
        *([by_code] if len(trained_by) > 1 else []),
        *resumed(codes, "with a different code version"),
        Markup("Versions: {}.").format(counted(versions, "run")),
        Markup("Hardware: {}.").format(counted(devices, "attempt")),
        *resumed(hardware, "with different hardware and may not be reproducible bit for bit"),
        _VERIFY,
    ]


def resumed(kinds: Mapping[str, Collection[str]], how: str) -> list[str]:
    """A sentence on the runs, by their ids, that have several kinds of something; none if there are no such runs."""
    names = [name for name, known in kinds.items() if len(known) > 1]
    were = "was" if len(names) == 1 else "were"
    return [f"{plural(len(names), 'run')} {were} resumed {how}: {shortened(', '.join(names), 400)}."] if names else []


def counted(values: Counter[Any], noun: str) -> Markup:
    """The values, the most frequent first, each with its number if there are several."""
    if len(values) == 1:
        return joined([*values])
    return joined([joined([value, f"({plural(number, noun)})"]) for value, number in values.most_common()], "; ")


def _versions(attempt: Attempt) -> str:
    return ", ".join(f"{name} {version}" for name, version in attempt.versions.items())


def _codes(record: RunRecord) -> set[str]:
    """Hashes of the code of all attempts since the run last started from scratch."""
    starts = [number for number, attempt in enumerate(record.attempts) if attempt.first_step == 0]
    first = max(starts, default=0)
    return {attempt.code for attempt in record.attempts[first:] if attempt.code}


def _commits(records: Iterable[RunRecord]) -> Counter[Markup]:
    """How many runs were last trained with each commit."""
    return Counter(commit(record.attempts[-1]) for record in records)


def commit(attempt: Attempt) -> Markup:
    """The commit of an attempt, as a link where its repository has an address."""
    if not attempt.git_commit:
        return Markup("commit not known")
    name = attempt.git_commit[:_HASH]
    if attempt.git_remote:
        name = Markup("[{}]({}/commit/{})").format(name, attempt.git_remote, attempt.git_commit)
    return joined(["commit", name, "with uncommitted changes"] if attempt.git_dirty else ["commit", name])


def _usage_table(study: Study) -> Details:
    grids = [("single runs" if grid.name == SINGLE else grid.name, grid.runs) for grid in study.folders]
    if len(grids) > 1:
        grids.append(("all", study.runs))
    rows: list[Row] = []
    for name, runs in grids:
        usage = usage_of(runs)
        completed = sum(run.completed is not None for run in runs)
        gpu, cpu = usage.total()
        row = {"grid": name, "runs": len(runs), "completed": completed, "attempts": usage.attempts}
        row |= {"gpu_hours": gpu / 3600, "cpu_hours": cpu / 3600, "unknown": usage.unknown}
        gpu, cpu = usage.encoding
        rows.append(row | {"encoder_gpu_hours": gpu / 3600, "encoder_cpu_hours": cpu / 3600})
    caption = (
        "Compute time per grid: the time for which a GPU was held, and the CPU time of all threads. The times of "
        "attempts that run or whose process was killed are unknown, so that times are lower bounds where there are any."
    )
    return Details(caption, [DataTable("usage", "", columns_of("usage", rows), rows)])


def _data_table(findings: Findings) -> list[Details]:
    completed = findings.study.completed_runs
    by_corpus = {run.record.data_fingerprint: run for run in completed}
    if not by_corpus:
        return []
    number_of_runs = Counter(run.record.data_fingerprint for run in completed)
    rows: list[Row] = []
    for fingerprint, run in by_corpus.items():
        report = findings.study.counts.get(fingerprint)
        data = run.config.data
        stop_words = wording.parameter_value("data.text.stop_words", data.text.stop_words)
        row: Row = {"source": PurePath(data.source).name, "fingerprint": fingerprint[:_HASH]}
        row |= {"runs": number_of_runs[fingerprint], "stop_words": stop_words}
        if report:
            row |= {"read": report.read, "kept": report.kept, "duplicates": report.duplicates}
            for part, counts in report.parts.items():
                row[part if part in PARTS else f"test_set_{part}"] = counts.rows
        rows.append(row)
    caption = "Data sets (one row per source, preprocessing and split), numbers of tweets."
    return [Details(caption, [DataTable("data", "", columns_of("data", rows), rows)])]
