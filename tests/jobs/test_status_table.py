"""The table of `jobs status`, as wide as it takes or as the terminal is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jobs.status.grid_status import GridStatus, RunStatus
from jobs.status.table import render, show
from sentiment.runs.run_dir import Results
from tests.jobs.submitted import PLAN, a_row
from tests.terminals import on_terminal

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def test_table_shows_what_is_known_and_dashes_for_the_rest() -> None:
    rows = [
        a_row(run_id="run-a", score=0.81234, epoch=3, step=12_345),
        a_row("FAILED", run_id="run-b", reason="DivergedError: the loss is nan", seen="2026-03-04T09:00:00+00:00"),
    ]
    text = render([GridStatus("g", "validation/f1", rows, {"report": "PENDING"})], every_row=False, now=NOW)
    assert text.splitlines() == [
        "grid g: 1 COMPLETED, 1 FAILED; report: PENDING",
        "  run    state      attempt  epoch  step    f1     seen     elapsed  expected  reason",
        "  run-a  COMPLETED  1        3      12,345  0.812  -        -        -",
        "  run-b  FAILED     1        -      -       -      3 h ago  -        -         DivergedError: the loss is nan",
        "  `python -m jobs rerun g` goes on with 1",
    ]


def _long_rows(state: str) -> list[RunStatus]:
    reason = "DivergedError: the loss is nan at step 310; a smaller training.learning_rate or training.clip may help"
    return [
        a_row(run_id="elmo_small-bilstm512-attention-d0.05-s1-2686fd7f", score=0.81234, epoch=3, step=12_345),
        a_row(state, run_id="bilstm64-mean_max-s1-0a1b2c3d", reason=reason, seen="2026-03-04T09:00:00+00:00", step=310),
    ]


@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("columns", [60, 80])
def test_table_fits_a_narrow_terminal_and_nothing_of_it_is_lost(columns: int, attempts: int) -> None:
    rows = [replace(row, attempts=attempts) for row in _long_rows("OUT_OF_MEMORY")]
    others = {"data": "COMPLETED", "cache": "COMPLETED", "vectors": "COMPLETED", "report": "PENDING"}
    grids = [GridStatus("g", "validation/accuracy", rows, others)]
    text, full = render(grids, False, NOW, columns), render(grids, False, NOW)
    assert max(map(len, text.splitlines())) <= columns < max(map(len, full.splitlines()))
    untold = {"-", "elapsed", "expected", "reason"} | ({"attempt", "1"} if attempts == 1 else set())
    assert sorted(set(text.split()) | untold) == sorted(set(full.split()) | untold)


def test_narrow_table_keeps_a_run_to_a_line_where_that_is_possible() -> None:
    rows = [replace(row, run_id=row.run_id[-13:]) for row in _long_rows("FAILED")]
    assert render([GridStatus("g", "validation/f1", rows, {})], False, NOW, 80).splitlines()[1:] == [
        "  run            state      epoch  step    f1     seen",
        "  5-s1-2686fd7f  COMPLETED  3      12,345  0.812  -",
        "  x-s1-0a1b2c3d  FAILED     -      310     -      3 h ago",
        "    DivergedError: the loss is nan at step 310; a smaller training.learning_rate",
        "      or training.clip may help",
        "  `python -m jobs rerun g` goes on with 1",
    ]


def test_table_as_wide_as_the_terminal_is_the_full_one() -> None:
    grids = [GridStatus("g", "validation/f1", _long_rows("FAILED"), {})]
    full = render(grids, False, NOW)
    width = max(map(len, full.splitlines()))
    assert render(grids, False, NOW, width) == full != render(grids, False, NOW, width - 1)


def test_status_asks_the_terminal_how_wide_it_is(results: Results) -> None:
    ids = [f"{'a-name-that-takes-almost-half-a-line-' * 2}{seed}" for seed in range(3)]
    runs = [run.model_copy(update={"run_id": name}) for run, name in zip(PLAN.runs, ids, strict=True)]
    results.write_grid(PLAN.model_copy(update={"runs": runs}))
    lines = on_terminal("jobs", "status", "--results", results.root, columns=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.strip() for line in lines if "a-name" in line] == ids


def test_grid_without_failed_runs_says_so_where_only_those_are_asked_for() -> None:
    grid = GridStatus("g", "validation/f1", [a_row()], {"report": "COMPLETED"})
    assert show([grid], only_failed=True, every_row=True, as_json=False).strip() == (
        "grid g: no run has failed or is held; report: COMPLETED"
    )


def test_table_of_many_runs_shows_those_that_matter() -> None:
    rows = [a_row(run_id=f"run-{number}") for number in range(99)] + [a_row("LOST", run_id="run-lost")]
    grid = GridStatus("g", "validation/f1", rows, {})
    shown: Callable[[bool], str] = lambda every_row: render([grid], every_row, NOW)  # noqa: E731
    assert shown(False).count("run-") == 1
    assert "and 99 that are completed, pruned or wait (--all shows them)" in shown(False)
    assert shown(True).count("run-") == 100
