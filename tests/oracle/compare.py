"""Compares what a report prints with the second opinion; each difference is a line."""

import base64
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from tests.oracle.printed import FIGURE, Printed, plain, read_csv, read_markdown, read_page
from tests.oracle.recompute_files import Row, Run
from tests.oracle.recompute_papers import evaluated
from tests.oracle.recompute_report import recompute
from tests.oracle.recompute_words import (
    DASH,
    Opinion,
    Statement,
    Unknown,
    Written,
    count,
    duration,
    p_text,
    percent,
    points,
)

# The columns of the page's tables by their titles: the key of the value in the CSV file, and how it is written.
_MINUS = "\u2212"
_COLUMNS: dict[str, tuple[str, str]] = {
    "Rank": ("rank", "count"),
    "#": ("rank", "count"),
    "Apart by at most, points": ("apart_by", "percent"),
    "Model": ("model", "text"),
    "Validation macro F1, %": ("validation_macro_f1", "percent"),
    "Validation accuracy, %": ("validation_accuracy", "percent"),
    "Test accuracy, %": ("test_accuracy", "percent"),
    "Test macro recall, %": ("test_macro_recall", "percent"),
    "Test macro precision, %": ("test_macro_precision", "percent"),
    "Test macro F1, %": ("test_macro_f1", "percent"),
    "Accuracy, %": ("accuracy", "percent"),
    "Macro recall, %": ("macro_recall", "percent"),
    "Macro F1, %": ("macro_f1", "percent"),
    f"Best network {_MINUS} this, points": ("difference_to_best", "points"),
    f"Best {_MINUS} this, points": ("difference_to_best", "points"),
    "vs. baseline": ("verdict", "text"),
    "Seeds": ("seeds", "count"),
    "Overfits": ("overfits", "text"),
    "GPU time per run": ("gpu_seconds", "duration"),
    "CPU time per run": ("cpu_seconds", "duration"),
    "GPU time": ("gpu_seconds", "duration"),
    "CPU time": ("cpu_seconds", "duration"),
    "Wall time per epoch": ("seconds", "duration"),
    "Difference to baseline, points": ("gain_over_baseline", "points"),
    "Difference to lexicon, points": ("gain_over_lexicon", "points"),
    "Adjusted p (vs. baseline)": ("gain_q", "p"),
    "Trainable weights": ("parameters", "count"),
    "Best epoch": ("best_epoch", "epoch"),
    "Job attempts": ("attempts", "count"),
    "Grid": ("grid", "text"),
    "Run": ("run", "text"),
    "Runs": ("runs", "count"),
    "Completed": ("completed", "count"),
    "Attempts": ("attempts", "count"),
    "GPU-hours": ("gpu_hours", "hours"),
    "CPU-hours": ("cpu_hours", "hours"),
    "For encoder vectors: GPU-hours": ("encoder_gpu_hours", "hours"),
    "Setting": ("parameter", "text"),
    "Value": ("value", "text"),
    "Runs compared (best, this)": ("runs_compared", "text"),
    "Test set": ("tests", "text"),
    "Tweets": ("n", "count"),
    "Trained on": ("data", "text"),
    "Capability": ("capability", "text"),
    "Sentences": ("sentences", "count"),
    "Network": ("network", "count"),
    "Linear baseline": ("baseline", "count"),
    "Mean of both": ("both", "count"),
    "VADER's lexicon": ("lexicon", "count"),
    "Class": ("class", "text"),
    "Precision, %": ("precision", "percent"),
    "Recall, %": ("recall", "percent"),
    "ECE (points)": ("ece", "percent"),
    "Log loss": ("loss", "loss"),
    "Tweet": ("tweet", "text"),
    "Label": ("label", "text"),
    "Predicted": ("predicted", "text"),
    "Probability, %": ("probability", "percent"),
    "Networks correct, %": ("share_right", "percent"),
    "Group": ("group", "text"),
    "Predictor": ("predictor", "text"),
    "Compared with": ("second", "text"),
    "Tweets of both": ("n", "count"),
    "Answers outside the classes": ("other_answers", "count"),
    "Missing": ("missing", "count"),
    "Accuracy of the answers with a class, %": ("accuracy_of_classes", "percent"),
    "Cohen\u2019s kappa with the labels": ("kappa", "kappa"),
    "Agreement (Cohen\u2019s kappa)": ("kappa", "kappa"),
    "Cost per 1,000 tweets": ("cost", "text"),
    "Difference in accuracy, points": ("accuracy", "points"),
    "Difference in macro recall, points": ("recall", "points"),
    "Correct only by the first": ("only_first", "count"),
    "Correct only by the second": ("only_second", "count"),
    "Source": ("source", "text"),
    "Fingerprint": ("fingerprint", "text"),
    "Stop words": ("stop_words", "text"),
    "Tweets read": ("read", "count"),
    "Tweets kept": ("kept", "count"),
    "Duplicates removed": ("duplicates", "count"),
    "Train": ("train", "count"),
    "Validation": ("validation", "count"),
    "Test": ("test", "count"),
}
_WRITE: dict[str, Callable[[Any], str]] = {
    "text": str,
    "percent": percent,
    "points": points,
    "count": count,
    "duration": duration,
    "p": p_text,
    "hours": lambda value: f"{value:,.2f}",
    "loss": lambda value: Written.by(lambda number: f"{number:.3f}", value),
    "kappa": lambda value: Written.by(lambda number: f"{number:.2f}", value),
    "epoch": lambda value: str(value) if isinstance(value, int) else f"{value:.1f}",
}
_OF_HYPOTHESES = {"Hypothesis": "hypothesis", "These runs": "verdict", "Difference": "difference_in_words"}
_OF_HYPOTHESES |= {"Compared": "sides", "Runs": "runs", "Grid": "grid", "Card": "card"}
# Tables that are copied from files, and columns whose texts are no figures.
_COPIED = ("published",)
_NO_FIGURES = ("state_reason", "state", "tweet", "card")


@dataclass
class Verdict:
    """The differences, a line each; and how many figures have a second opinion, and how many have none."""

    lines: list[str] = field(default_factory=list)
    judged: int = 0
    unjudged: int = 0


def judge(results: Path, report: Path) -> Verdict:
    """Compare a report with the second opinion on it."""
    opinion = recompute(results)
    page = read_page(report / "report.html")
    markdown = read_markdown(report / "report.md")
    verdict = Verdict()
    verdict.lines += _tables(opinion, report, page, markdown, verdict)
    if page.texts_with_figures != markdown.texts_with_figures:
        page_only = page.texts_with_figures - markdown.texts_with_figures
        markdown_only = markdown.texts_with_figures - page.texts_with_figures
        verdict.lines.append(f"the page and the Markdown differ: {[*page_only]}, {[*markdown_only]}")
    verdict.lines += _texts(opinion, markdown, verdict)
    verdict.lines += _papers(opinion, report, verdict)
    verdict.lines += _drawn(opinion, report, verdict)
    verdict.lines += _explored(opinion, page.data, verdict)
    return verdict


def _tables(opinion: Opinion, report: Path, page: Printed, markdown: Printed, verdict: Verdict) -> Iterator[str]:
    shown = dict(zip(page.names, zip(page.tables, markdown.tables, strict=True), strict=True))
    files = {path.stem: path.read_text(encoding="utf-8") for path in sorted((report / "tables").glob("*.csv"))}
    for name, text in files.items():
        if page.downloads.get(f"{name}.csv", text) != text:
            yield f"{name}.csv: differs from the page's download"
        html, md = shown[name]
        if html != md:
            yield f"{name}: the page and the Markdown differ"
        if name in _COPIED:
            verdict.unjudged += sum(len(FIGURE.findall(cell)) for row in html[1:] for cell in row)
        elif name not in opinion.tables:
            yield f"{name}: a table without a second opinion"
        else:
            rows = opinion.tables[name]
            yield from _written(name, read_csv(text), rows, verdict)
            rows = opinion.shown.get(name, rows)
            if len(html) == len(rows) + 1:
                yield from _cells(name, html, rows, verdict)
            elif name in opinion.shown:
                yield f"{name}: shows {len(html) - 1} rows, not {len(rows)}"
    for name in opinion.tables.keys() - files.keys():
        yield f"{name}: a table is missing"


def _written(name: str, written: list[dict[str, str]], rows: list[Row], verdict: Verdict) -> Iterator[str]:
    """The rows of a CSV file."""
    if len(written) != len(rows):
        yield f"{name}: has {len(written)} rows, not {len(rows)}"
        return
    for number, (row, expected) in enumerate(zip(written, rows, strict=True), 1):
        for key, value in row.items():
            if key in _NO_FIGURES:
                continue
            verdict.judged += bool(re.search(r"\d", value))
            if not _is_equal(value, expected.get(key)):
                yield f"{name}, row {number}, {key}: {value!r}, not {expected.get(key)!r}"


def _cells(name: str, table: list[list[str]], rows: list[Row], verdict: Verdict) -> Iterator[str]:
    heading, *body = table
    seen: set[str] = set()
    for place, title in enumerate(heading):
        key, kind = _column(name, title, seen)
        seen.add(title)
        for number, (cells, row) in enumerate(zip(body, rows, strict=True), 1):
            verdict.judged += len(FIGURE.findall(cells[place]))
            if not key:
                yield f"{name}: no second opinion on the column {title!r}"
                break
            if key not in _NO_FIGURES and not _is_shown(cells[place], row, key, kind):
                yield f"{name}, row {number}, {title}: {cells[place]!r}, not {row.get(key)!r}"


def _column(name: str, title: str, seen: set[str]) -> tuple[str, str]:
    """The key of a column and how it is written; an empty key if it is not known."""
    if name == "hypotheses":
        return _OF_HYPOTHESES.get(title, ""), "text"
    if title == "State":
        return "state", "text"
    if name.startswith("comparisons") and title == "Adjusted p":
        return ("recall_q" if title in seen else "accuracy_q"), "p"
    if name.startswith("comparisons") and title == "Predictor":
        return "first", "text"
    if title == "Adjusted p":
        return "adjusted_p", "p"
    if name == "usage" and title == "CPU-hours" and title in seen:
        return "encoder_cpu_hours", "hours"
    if name.startswith("effects") and title.startswith("Test "):
        return title.removeprefix("Test ").removesuffix(", %").replace(" ", "_"), "percent"
    if name == "confusion" and title.startswith("Predicted "):
        return title.replace("Predicted ", "predicted_"), "count"
    if name.startswith("disagreements") and title not in ("Tweet", "Label"):
        return f"{title}_answer", "text"
    if title.endswith(", %") and " / " in title:
        return "classes", "text"
    if name.startswith("leaderboard") and title.startswith("Test "):
        return "score", "percent"
    if name.startswith("leaderboard") and title == "Predictor":
        return "model", "text"
    return _COLUMNS.get(title, ("", ""))


def _is_equal(written: str, expected: Any) -> bool:
    if expected is None:
        return written == ""
    if isinstance(expected, str | bool):
        return " ".join(written.split()) == " ".join(str(expected).split())
    try:
        return math.isclose(float(written), float(expected), rel_tol=1e-7, abs_tol=1e-9)
    except ValueError:
        return False


def _is_shown(shown: str, row: Row, key: str, kind: str) -> bool:
    value = row.get(key)
    if value is None:
        return shown in (DASH, "", "single run")
    if isinstance(value, tuple | str):
        return _is_equal(shown, value)
    low, high, deviation = (row.get(f"{key}_{name}") for name in ("low", "high", "sd"))
    numbers = [value]
    template = "{}"
    if deviation is not None:
        numbers.append(deviation)
        template = "{} ± {}"
    elif low is not None and high is not None:
        numbers += [low, high]
        template = f"{{}} ({{}}{' to ' if kind == 'points' else DASH}{{}})"
    choices = product(*(_ways(number, _WRITE[kind]) for number in numbers))
    return any(template.format(*texts) == shown for texts in choices)


def _ways(value: Any, write: Callable[[Any], str]) -> Iterable[str]:
    text = write(value)
    return getattr(text, "ways", {text})


# Texts whose figures are constants of methods, published, or copied.
_WITHOUT_OPINION = (
    r"^(Selection|Significant, better, worse|Without repeated seeds|Several configurations|Test .* of a configuration"
    r"|Comparing two runs|Macro recall|The linear baseline|Overfitting|Calibration|Predictors on gold tables"
    r"|Effect of a setting|Stated hypotheses|Importance in a search)[^:]*: ",
    r"^(sentiment|Use the best model|Export it|`?sentiment report --verify)",
    r"SHA-256",
    r"^results/.*: |^Tweet texts are not available",
    r"^Published results|^Published macro recall",
    r"^The most confident right and wrong predictions",
    r"\((ARR [A-E]|NeurIPS)",
    r"^((model|data|elmo|training)\.\S+|seed): |^Scores are means|^Tests: paired|^Best-found",
    r"^Code: |^python 3|^Pretrained",
    r"^A version is that of a table",
    r"resumed with a different|may not be reproducible",
)


def _texts(opinion: Opinion, markdown: Printed, verdict: Verdict) -> Iterator[str]:
    names = sorted((name for name in opinion.names if re.search(r"\d", name)), key=len, reverse=True)
    mask = re.compile("|".join(map(re.escape, names)))
    for text in markdown.texts:
        masked = mask.sub("\u25a1", text)
        found = FIGURE.findall(masked)
        matching = [one for one in opinion.statements if re.search(one.key, masked) or re.search(one.key, text)]
        if matching:
            verdict.judged += len(found)
            if not any(_fits(one, text, found) for one in matching):
                expected = " or ".join(str(one.figures) for one in matching)
                yield f"text {text!r}: has {found}, not {expected}, with {matching[0].words}"
        elif found and any(re.search(pattern, text) for pattern in _WITHOUT_OPINION):
            verdict.unjudged += len(found)
        elif found:
            yield f"text {text!r}: no second opinion on {found}"


def _fits(statement: Statement, text: str, found: list[str]) -> bool:
    """Whether a text has the figures of a statement, in order, and its words."""
    pattern = ""
    for figure in statement.figures:
        separator = r"(^|[|])" if pattern else ""
        if isinstance(figure, Unknown):
            pattern += rf"({separator}{figure.pattern})?" if figure.pattern.endswith("?") else figure.pattern
        else:
            ways = getattr(figure, "ways", {figure})
            pattern += f"(^|[|])({'|'.join(map(re.escape, ways))})"
    joined = "|".join(found)
    return re.fullmatch(pattern, joined) is not None and all(word in text for word in statement.words)


def _papers(opinion: Opinion, report: Path, verdict: Verdict) -> Iterator[str]:
    """The LaTeX tables and the checklist."""
    for name, rows in opinion.latex.items():
        text = (report / "tables" / f"{name}.tex").read_text(encoding="utf-8")
        found = [
            _latex_cells(line) for line in text.partition("\\midrule")[2].partition("\\bottomrule")[0].split("\\\\\n")
        ]
        found = [cells for cells in found if cells]
        if len(found) != len(rows):
            yield f"{name}.tex: has {len(found)} rows, not {len(rows)}"
            continue
        for shown, expected in zip(found, rows, strict=True):
            verdict.judged += 4
            if not all(cell in getattr(one, "ways", {one}) for cell, one in zip(shown, expected, strict=True)):
                yield f"{name}.tex: {shown}, not {expected}"
    if opinion.checklist:
        printed = read_markdown(report / "checklist.md")
        yield from (f"checklist.md: {line}" for line in _texts(opinion.checklist, printed, verdict))
        tables = [[row[1:] for row in table[1:]] for table in printed.tables]
        expected = [[[*row.values()][1:] for row in rows] for rows in opinion.checklist.tables.values()]
        verdict.judged += sum(len(row) for table in tables for row in table)
        if tables != expected:
            yield f"checklist.md: {tables}, not {expected}"


def _latex_cells(line: str) -> list[str]:
    """Name, seeds, validation F1, score, half of its interval, mark, test F1; empty for a line without cells."""
    parts = [plain(part.replace("\\midrule", "").replace("\\bfseries", "")) for part in line.split("&")]
    if len(parts) < 5:
        return []
    score = re.fullmatch(r"([\d.]+)(?: \(([\d.]+)--([\d.]+)\))? ?(?:\$\^\{(.*)\}\$)?", parts[3])
    assert score, line
    return [parts[0], parts[1], parts[2], *(group or "" for group in score.groups()), parts[4]]


def _drawn(opinion: Opinion, report: Path, verdict: Verdict) -> Iterator[str]:
    """The values of forest plots."""
    for name, scores in opinion.figures.items():
        spec = json.loads((report / "figures" / f"{name}.vl.json").read_text(encoding="utf-8"))
        rows = {row["name"].removeprefix("\u2605 ").removeprefix("cheapest to train: "): row for row in _rows(spec)}
        for label, score in scores.items():
            row = rows.pop(label, None)
            if row is None:
                yield f"{name}: no row {label!r}, only {[*rows]}"
                continue
            for key, value in (("value", score.value), ("low", score.low), ("high", score.high)):
                verdict.judged += 1
                if (row[key] is None) != (value is None) or (value is not None and abs(row[key] - 100 * value) > 1e-6):
                    yield f"{name}, {label!r}: {key} is {row[key]}, not {None if value is None else 100 * value}"
        if rows:
            yield f"{name}: no second opinion on {[*rows]}"


def _explored(opinion: Opinion, data: Row, verdict: Verdict) -> Iterator[str]:
    """The runs' figures in the explorer, and the answers with which it compares two runs."""
    for key, values in data.get("runs", {}).items():
        for value, expected in zip(values, opinion.tables["runs"], strict=True):
            if key in expected and key not in _NO_FIGURES:
                verdict.judged += isinstance(value, float)
                if not _is_close(value, expected[key], 1e-5):
                    yield f"explorer, {expected['run']}, {key}: {value!r}, not {expected[key]!r}"
    packed = data.get("answers")
    if not packed or packed["n"] < packed["of"]:
        return
    names = ("right", "known", "labels")
    content = {name: np.frombuffer(zlib.decompress(base64.b64decode(packed[name])), np.uint8) for name in names}
    right, known = (
        np.unpackbits(content[name].reshape(len(packed["ids"]), -1), axis=1, count=packed["n"]).astype(bool)
        for name in names[:2]
    )
    for name, of_run, tested in zip(packed["ids"], right, known, strict=True):
        expected = opinion.answers.pop(name, [])
        classes = [content["labels"] == label for label in range(len(expected))]
        found = [(int((of_run & rows).sum()), int((tested & rows).sum())) for rows in classes]
        verdict.judged += len(found)
        if found != expected:
            yield f"explorer, answers of {name}: {found}, not {expected}"
    if opinion.answers:
        yield f"explorer: no answers of {[*opinion.answers]}"


def _rows(spec: Any) -> list[Row]:
    """The first data of a specification with names."""
    if isinstance(spec, dict):
        values = spec.get("values")
        if isinstance(values, list) and values and isinstance(values[0], dict) and "name" in values[0]:
            return values
        spec = list(spec.values())
    for inner in spec if isinstance(spec, list) else ():
        if rows := _rows(inner):
            return rows
    return []


def judge_evaluation(run: Run, written: Row) -> list[str]:
    """The differences of what `evaluate RUN --out` writes of the run's own predictors."""
    lines = []
    for name, parts in evaluated(run).items():
        for part, expected in parts.items():
            shown = written["models"][name][part]
            lines += [f"{name}, {part}, {key}" for key, value in expected.items() if not _is_close(shown[key], value)]
    return lines


def _is_close(written: Any, expected: Any, tolerance: float = 1e-7) -> bool:
    if isinstance(expected, str | None):
        return bool(written == expected)
    if isinstance(expected, dict):
        return written.keys() == expected.keys() and all(_is_close(written[key], expected[key]) for key in expected)
    return math.isclose(written, expected, rel_tol=tolerance, abs_tol=1e-9)
