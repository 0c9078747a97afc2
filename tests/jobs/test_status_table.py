"""The table of `sentiment status`, as wide as the terminal is."""

from datetime import UTC, datetime

import pytest

from jobs.status import GridStatus, render, show
from tests.jobs.submitted import a_row

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
REASON = "DivergedError: the loss is nan at step 310; a smaller training.learning_rate or training.clip may help"


def test_table_shows_what_is_known_what_varies_and_the_reasons() -> None:
    rows = [
        a_row(run_id="run-a", score=0.81234, epoch=3, parameters={"model.layers": 1, "seed": 1}),
        a_row("FAILED", run_id="run-b", reason="DivergedError: the loss is nan", seen="2026-03-04T09:00:00+00:00"),
        a_row("FAILED", run_id="run-c", reason="DivergedError: the loss is nan", parameters={"model.layers": 2}),
    ]
    assert render([GridStatus("g", "validation/f1", rows, {"report": "PENDING"})], False, NOW).splitlines() == [
        "grid g: 2 FAILED, 1 COMPLETED; report: PENDING",
        "run    state      try  epoch  f1     layers  seed  seen",
        "run-a  COMPLETED  1    3      0.812  1       1     -",
        "run-b  FAILED     1    -      -      -       -     3 h ago",
        "run-c  FAILED     1    -      -      2       -     -",
        "run-b and 1 more FAILED: DivergedError: the loss is nan",
        "`sentiment rerun g` goes on with 2",
    ]


@pytest.mark.parametrize("columns", [60, 80])
def test_table_fits_a_terminal_and_no_run_and_no_reason_is_cut(columns: int) -> None:
    long = "elmo_small-bilstm512-attention-d0.05-s1-2686fd7f"
    varied = {f"model.a_rather_long_name_{number}": number for number in range(5)}
    rows = [a_row(run_id=long, parameters=varied), a_row("OUT_OF_MEMORY", run_id="bilstm64-0a1b2c3d", reason=REASON)]
    text = render([GridStatus("g", "validation/accuracy", rows)], False, NOW, columns)
    assert max(map(len, text.splitlines())) <= columns
    joined = "".join(text.split())
    assert "".join(REASON.split()) in joined
    assert all(part in text for part in ("OUT_OF_MEMORY", "bilstm64-0a1b2c3d", "COMPLETED", "accuracy"))


def test_grid_without_failed_runs_says_so_where_only_those_are_asked_for() -> None:
    text = show([GridStatus("g", "validation/f1", [a_row()])], only_failed=True, every_row=True, as_json=False)
    assert text == "grid g: no run has failed or is held"


def test_table_of_many_runs_shows_those_that_matter() -> None:
    rows = [a_row(run_id=f"run-{number}") for number in range(100)] + [a_row("FAILED", run_id="bad")]
    grids = [GridStatus("g", "validation/f1", rows)]
    few, every = render(grids, False, NOW).splitlines(), render(grids, True, NOW).splitlines()
    assert (len(few), len(every)) == (5, 104)
    assert "and 100 that are completed, pruned or wait (--all shows them)" in few
