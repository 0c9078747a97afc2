"""Cleaning: what removing stop words does to networks and to the linear floor alike."""

from typing import Any

from report import blocks, statistics, wording
from report.blocks import Block, Section, Table, Text
from report.effects import effects_of
from report.figures import style
from report.figures.intervals import Line, interval_figure
from report.load import Finished, Grid, Study
from report.published import PLAIN_CEILING
from report.sections.grids import curve_blocks, grid_blocks
from report.sections.kinds import Kind, kind_of

_STOP_WORDS = "data.text.stop_words"


def cleaning(study: Study) -> Section:
    """Every grid that varies how text is cleaned."""
    content: list[Block] = []
    for grid in study.grids:
        if kind_of(grid) is Kind.CLEANING:
            content += [*grid_blocks(grid), *_floor_blocks(grid), *curve_blocks(grid, study)]
    return Section("Cleaning", content)


def _floor_blocks(grid: Grid) -> list[Block]:
    """The floor under each way of cleaning, which shows whether the words or the nets are to blame."""
    effect = next((one for one in effects_of(grid.finished) if one.parameter == _STOP_WORDS), None)
    if effect is None:
        return []
    by_level = [
        (level, [run for run in grid.finished if run.settings[_STOP_WORDS] == level.value]) for level in effect.levels
    ]
    rows = [_row(level.name, runs) for level, runs in by_level]
    lines = []
    for level, runs in by_level:
        floor = runs[0].result.floor["test"]
        lines.append(Line(f"networks, {level.name}", level.score))
        bounds = statistics.Estimate(floor.accuracy, floor.accuracy_low, floor.accuracy_high, floor.n)
        lines.append(Line(f"linear floor, {level.name}", bounds, style.ORANGE))
    ceiling = statistics.Estimate(PLAIN_CEILING.accuracy, None, None, 0)
    lines.append(Line(f"published: {PLAIN_CEILING.model}, at most", ceiling, style.MUTED, published=True))
    n = grid.finished[0].result.metrics["test"].n
    caption = (
        "Test accuracy by what is removed from tweets. Networks: mean with Student's 95 % interval over "
        f"{rows[0]['runs']} runs each; linear floor: Wilson's interval, n = {n:,} tweets; hollow: published, "
        "validation part."
    )
    columns = [
        blocks.text("Cleaning", "cleaning"),
        blocks.count("Runs", "runs"),
        blocks.percent("Networks, %", "networks"),
        blocks.percent("Floor, %", "floor"),
        blocks.points("Networks above the floor, points", "above"),
    ]
    alt = "Test accuracy by cleaning, networks and floor"
    return [
        Text(_ceiling_sentence(rows)),
        interval_figure(f"cleaning-{grid.name}", alt, caption, lines, "test accuracy (%)"),
        Table(
            f"cleaning-{grid.name}",
            "Mean test accuracy over runs, and the floor's on equally cleaned tweets.",
            columns,
            rows,
        ),
    ]


def _row(name: str, runs: list[Finished]) -> dict[str, Any]:
    networks = [run.result.metrics["test"].accuracy for run in runs]
    floor = runs[0].result.floor["test"].accuracy
    mean = sum(networks) / len(networks)
    row: dict[str, Any] = {"cleaning": name, "runs": len(runs), "networks": mean, "floor": floor, "above": mean - floor}
    return row | {"networks_sd": statistics.deviation(networks)}


def _ceiling_sentence(rows: list[dict[str, Any]]) -> str:
    kept, removed = (
        next((row for row in rows if row["cleaning"] == wording.setting(_STOP_WORDS, value)), None)
        for value in ("none", "all")
    )
    if kept is None or removed is None:
        return "To compare with the published ceiling takes runs with stop words kept and runs with all removed."
    return (
        f"Removing all stop words, negations among them, moves the networks from {wording.percent(kept['networks'])} "
        f"to {wording.percent(removed['networks'])} % ({wording.points(removed['networks'] - kept['networks'])} "
        f"points) and the linear floor from {wording.percent(kept['floor'])} to {wording.percent(removed['floor'])} % "
        f"({wording.points(removed['floor'] - kept['floor'])}). The published study, which removed them, reports at "
        f"most {wording.percent(PLAIN_CEILING.accuracy)} % for every recurrent net."
    )
