"""Rows of the metric log as Weights & Biases takes them: numbered, flat; read while they are being written."""

import json
from pathlib import Path
from typing import Any


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row with names such as `validation/accuracy`, as grids call their metrics."""
    values: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            values |= {f"{name}/{inner}": number for inner, number in value.items()}
        else:
            values[name] = value
    return values


class RowReader:
    """Reads `metrics.jsonl` piece by piece, while it grows.

    Within an attempt the file is only ever replaced by one with the same beginning, so that the place reached in it
    stays valid.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new_rows(self) -> list[dict[str, Any]]:
        """Rows that were completed since the last call; none while there is no file."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
