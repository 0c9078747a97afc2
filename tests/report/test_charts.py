"""Every chart draws what run directories hold."""

import json
import re

import pytest

from report.build import compose
from report.render.charts import HALF, NARROW, WIDE, Axis, Figure, Point, line_figure, panel_figure
from sentiment.runs.run_dir import Results
from tests.report import chart_checks as checks
from tests.report.made_up import Study
from tests.report.studies import LABELS, write_halved, write_labels, write_study
from tests.report.written import Written, written_runs

pytestmark = pytest.mark.slow

Charted = list[tuple[Figure, list[Written]]]


@pytest.fixture(scope="module")
def charted(tmp_path_factory: pytest.TempPathFactory) -> Charted:
    """All kinds of figures, each with the runs that it is about."""
    whole, halved, labelled = (Results(tmp_path_factory.mktemp(name)) for name in ("whole", "halved", "labelled"))
    studies = [write_study(whole, 48), Study(halved), Study(labelled)]
    write_halved(studies[1])
    skills = [(vectors, rows) for vectors in (None, "word2vec") for rows in LABELS]
    write_labels(studies[2], {one: 0.3 + 0.3 * number for number, one in enumerate(skills)})
    _count_labels(labelled)
    found = []
    for study in studies:
        figures = [block for block in compose(study.findings()).blocks if isinstance(block, Figure)]
        wanted = [one for one in figures if study is studies[0] or one.name.startswith(("rungs-", "labels-"))]
        found += [(figure, written_runs(study.results.root)) for figure in wanted]
    return found


def _count_labels(results: Results) -> None:
    """Let each corpus say that it has as many training tweets as was asked for."""
    for run in written_runs(results.root):
        data = json.loads((run.path / "run.json").read_text())["data_fingerprint"]
        path = results.corpus_dir(data) / "manifest.json"
        manifest, rows = json.loads(path.read_text()), run.settings["data.train_rows"] or checks.ALL_LABELS
        manifest["report"]["parts"]["train"] = {"rows": rows, "positive": rows // 2}
        path.write_text(json.dumps(manifest))


def test_every_chart_draws_what_the_run_directories_hold(charted: Charted) -> None:
    drawn = set()
    for figure, runs in charted:
        kind = next(prefix for prefix in checks.CHECKS if figure.name.startswith(prefix))
        checks.axes_ascend(figure.spec)
        checks.CHECKS[kind](figure.name, figure.spec, runs)
        drawn.add(kind)
    assert drawn == set(checks.CHECKS)


def test_drawings_of_all_widths_draw_the_same_data(charted: Charted) -> None:
    for figure, _ in charted:
        if figure.name == "attention":
            continue  # lines break where they have to
        values = [[node["data"] for node in checks.nodes(figure.build(width)) if "data" in node]
                  for width in (WIDE, HALF, NARROW)]  # fmt: skip
        for other in values[1:]:
            assert all(data in other for data in values[0] if len(data["values"]) > 2), figure.name


@pytest.mark.parametrize("last", [1, 2, 3])
def test_no_epoch_is_written_twice_and_none_between_two(last: int) -> None:
    score = {"loss": 50.0, "accuracy": 0.5, "f1": 0.5}
    epochs = [{"epoch": epoch, "train": score, "validation": score} for epoch in range(1, last + 1)]
    points = [Point("a", epoch, 0.01 * epoch, "", "a") for epoch in range(1, last + 1)]
    panels = panel_figure("curves", "", "", epochs, 1).svg
    lines = line_figure("rungs", "", "", points, (Axis("epoch", is_whole=True), Axis("score (%)"))).svg
    expected = [str(epoch) for epoch in range(1, last + 1)]
    for svg, times in ((panels, 3), (lines, 1)):
        assert [one for one in re.findall(r">([\d.]+)</text>", svg) if 1 <= float(one) <= last] == expected * times
