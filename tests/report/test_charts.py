"""Every chart draws what run directories hold, and a chart with a mistake in it is seen."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from report.build import compose
from report.compare.findings import analyse
from report.read import load_study
from report.render.charts import HALF, NARROW, WIDE, Figure
from sentiment.runs.run_dir import Results
from tests.report import chart_checks as checks
from tests.report.made_up import Study
from tests.report.studies import write_study
from tests.report.test_halving import write_halved
from tests.report.test_labels import SIZES, write_labels
from tests.report.written import Written, written_runs

pytestmark = pytest.mark.slow

CHECKS: dict[str, checks.Check] = {
    "answer": checks.check_answer,
    "question-": checks.check_question,
    "curves-best": checks.check_curves,
    "reliability": checks.check_reliability,
    "attention": checks.check_attention,
    "parallel-": checks.check_parallel,
    "importance-": checks.check_importance,
    "labels-": checks.check_labels,
    "rungs-": checks.check_rungs,
}


@dataclass(frozen=True)
class Charted:
    """Figures, and the runs that they are about."""

    figures: dict[str, Figure]
    runs: list[Written]


def _charted(results: Results) -> Charted:
    blocks = compose(analyse(load_study(results, []))).blocks
    figures = {block.name: block for block in blocks if isinstance(block, Figure)}
    return Charted(figures, written_runs(results.root))


@pytest.fixture(scope="module")
def charted(tmp_path_factory: pytest.TempPathFactory) -> list[Charted]:
    """All kinds of figures."""
    whole, halved, labelled = (Results(tmp_path_factory.mktemp(name)) for name in ("whole", "halved", "labelled"))
    write_study(whole, 48)
    write_halved(Study(halved))
    skills = {(vectors, rows): 0.3 + 0.3 * number for number, (vectors, rows) in enumerate(_labels())}
    write_labels(Study(labelled), skills)
    _count_labels(labelled)
    _let_hops_differ(whole)
    return [_charted(one) for one in (whole, halved, labelled)]


def _let_hops_differ(results: Results) -> None:
    for path in results.runs.glob("*/*/attention.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            row["weights"][1] = row["weights"][0][::-1]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _count_labels(results: Results) -> None:
    """Let each corpus say that it has as many training tweets as was asked for."""
    for run in written_runs(results.root):
        data = json.loads((run.path / "run.json").read_text())["data_fingerprint"]
        path = results.corpus_dir(data) / "manifest.json"
        manifest = json.loads(path.read_text())
        rows = run.settings["data.train_rows"] or checks.ALL_LABELS
        manifest["report"]["parts"]["train"] = {"rows": rows, "positive": rows // 2}
        path.write_text(json.dumps(manifest))


def _labels() -> Iterator[tuple[str | None, int | None]]:
    yield from ((vectors, rows) for vectors in (None, "word2vec") for rows in SIZES)


def _checked(charted: list[Charted]) -> Iterator[tuple[checks.Check, Figure, list[Written]]]:
    for number, one in enumerate(charted):
        for name, figure in one.figures.items():
            if number == 0 or name.startswith(("rungs-", "labels-")):
                yield next(check for prefix, check in CHECKS.items() if name.startswith(prefix)), figure, one.runs


def test_every_chart_draws_what_the_run_directories_hold(charted: list[Charted]) -> None:
    drawn = set()
    for check, figure, runs in _checked(charted):
        checks.axes_ascend(figure.spec)
        check(figure.name, figure.spec, runs)
        drawn.add(next(prefix for prefix in CHECKS if figure.name.startswith(prefix)))
    assert drawn == set(CHECKS)


def test_a_chart_with_a_mistake_in_it_is_seen(charted: list[Charted]) -> None:
    unseen, tried = [], 0
    for check, figure, runs in _checked(charted):
        wrongs = list(checks.mutated(figure.spec))
        assert wrongs, figure.name
        for wrong, spec in wrongs:
            tried += 1
            try:
                checks.axes_ascend(spec)
                check(figure.name, spec, runs)
            except (AssertionError, KeyError, StopIteration):
                continue
            unseen.append(f"{figure.name}: {wrong}")
    assert unseen == []
    assert tried > 35


def test_drawings_of_all_widths_draw_the_same_data(charted: list[Charted]) -> None:
    for _, figure, _ in _checked(charted):
        if figure.name == "attention":
            continue  # lines break where they have to
        values = [[node["data"] for node in checks.nodes(figure.build(width)) if "data" in node] for width in
                  (WIDE, HALF, NARROW)]  # fmt: skip
        for other in values[1:]:
            assert all(data in other for data in values[0] if len(data["values"]) > 2), figure.name


def test_no_text_of_a_chart_is_smaller_than_12_pixels(invented_report: Path) -> None:
    figures = sorted((invented_report / "figures").glob("*.svg"))
    sizes = {
        (float(size), path.name)
        for path in figures
        for size in re.findall(r'font-size="([\d.]+)px"', path.read_text(encoding="utf-8"))
    }
    assert {one for one in sizes if one[0] < 12} == set()
