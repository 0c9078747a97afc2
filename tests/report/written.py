"""What run directories hold, read without the program: what the report draws is held against this."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


@dataclass(frozen=True)
class Written:
    """One run directory."""

    path: Path
    grid: str
    config: dict[str, Any]
    result: dict[str, Any] | None

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration by dotted name."""
        return flat(self.config)

    @property
    def accuracy(self) -> float:
        """On test tweets, in per cent."""
        assert self.result
        return 100 * float(self.result["metrics"]["test"]["accuracy"])

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """Rows of the metric log."""
        rows = [json.loads(line) for line in (self.path / "metrics.jsonl").read_text().splitlines()]
        return [row for row in rows if row["kind"] == "epoch"]

    def predictions(self) -> tuple[Any, Any, Any]:
        """Labels, and the probabilities of model and baseline, of test tweets in their order."""
        table = pq.read_table(self.path / "predictions.parquet").to_pandas()
        test = table[table["part"] == "test"]
        return test["label"].to_numpy(), test["score"].to_numpy(float), test["baseline"].to_numpy(float)


def read_table(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a table of the report in `folder`; what is empty is None."""
    table = pd.read_csv(folder / "tables" / f"{name}.csv").astype(object)
    return table.where(table.notna(), None).to_dict("records")  # type: ignore[return-value]


def written_runs(results: Path) -> list[Written]:
    """All run directories, those without a result too."""
    found = []
    for path in sorted((results / "runs").glob("*/*/config.json")):
        result = path.with_name("result.json")
        read = json.loads(result.read_text()) if result.exists() else None
        found.append(Written(path.parent, path.parent.parent.name, json.loads(path.read_text()), read))
    return found


def completed(runs: list[Written], grid: str | None = None) -> list[Written]:
    """Those with a result, of one grid or of all."""
    return [run for run in runs if run.result and grid in (None, run.grid)]


def by_configuration(runs: list[Written]) -> list[list[Written]]:
    """Runs that differ by their seed alone; one that several grids have counts once."""
    groups: dict[str, list[Written]] = defaultdict(list)
    for run in {run.path.name: run for run in reversed(runs)}.values():
        groups[json.dumps({**run.config, "seed": 0, "description": ""}, sort_keys=True)].append(run)
    return list(groups.values())


def recommended(runs: list[Written]) -> list[Written]:
    """The seeds of the configuration with the best mean validation F1, of those with several and real vectors."""
    usable = [group for group in by_configuration(completed(runs)) if not reads_random_numbers(group[0])]
    return max([group for group in usable if len(group) > 1] or usable, key=mean_f1)


def reads_random_numbers(run: Written) -> bool:
    """Whether its ELMo model has no weights that mean anything."""
    return (run.config["elmo"] or {}).get("model") == "tiny"


def mean_f1(group: list[Written]) -> float:
    """On validation tweets, over seeds."""
    return float(np.mean([_validation_f1(run) for run in group]))


def best_seed(group: list[Written]) -> Written:
    """The run that does best on validation tweets."""
    return max(group, key=_validation_f1)


def _validation_f1(run: Written) -> float:
    assert run.result
    return float(run.result["metrics"]["validation"]["f1"])
