"""Which section a grid belongs to, told by what varies in it and not by its name."""

from enum import Enum

from report.analysis.effects import varying
from report.read.load import Grid


class Kind(Enum):
    """What a grid is about."""

    SEARCH = "random search"
    ELMO = "ELMo"
    ATTENTION = "self-attention"
    CLEANING = "cleaning"
    VARIANTS = "variants"


def kind_of(grid: Grid) -> Kind:
    """By the plan's method, else by the parameters that differ between its runs."""
    if grid.plan and grid.plan.method == "random":
        return Kind.SEARCH
    planned_values = grid.plan.parameters if grid.plan else {}
    names = {*(name for name, values in planned_values.items() if len(values) > 1), *varying(grid.completed)}
    if any(name == "elmo" or name.startswith("elmo.") for name in names):
        return Kind.ELMO
    if any(name.startswith("data.text.") for name in names):
        return Kind.CLEANING
    poolings = {run.config.model.pooling for run in grid.completed} | set(planned_values.get("model.pooling", []))
    if "attention" in poolings and any(name.startswith(("model.pooling", "model.attention.")) for name in names):
        return Kind.ATTENTION
    return Kind.VARIANTS
