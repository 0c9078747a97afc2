"""Arguments and options that several commands have, what they are without being given, and exit codes."""

from pathlib import Path
from typing import Annotated

import typer

from sentiment.shipped import CONFIGS

GridFile = Annotated[Path, typer.Argument(metavar="GRID", help="A grid's file, or its name in configs/grids.")]
Targets = Annotated[list[str] | None, typer.Argument(metavar="[GRID | RUN]...", help="Names of grids, or run ids.")]
ClusterFile = Annotated[Path, typer.Option("--cluster", help="The file that says what jobs may use.")]
ResultsRoot = Annotated[Path, typer.Option("--results", help="The folder that everything is written to.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a field of all runs: section.field=value.")]
Local = Annotated[bool, typer.Option("--local", help="Run them here and now, without Slurm.")]
AtOnce = Annotated[
    int | None, typer.Option("--at-once", min=1, help="With --local: how many runs at a time; by default one per GPU.")
]
NewCode = Annotated[
    bool,
    typer.Option(
        "--new-code",
        help="Train runs that other code has begun anew with that of now, instead of going on with theirs.",
    ),
]
CLUSTER = CONFIGS / "cluster.yaml"
RESULTS = Path("results")
NO_GRIDS = "{}: no grid was submitted to this folder of results yet; python -m jobs submit GRID, or --results DIR"
