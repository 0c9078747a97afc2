"""The command that repeats a run: as the grid's plan says it, or as it was typed."""

import json
import shlex
from functools import cache
from typing import Any

from report.read.load import Run
from sentiment.config_file import parse_override
from sentiment.errors import ConfigError
from sentiment.records import GridPlan

_TRAIN = ("python", "-m", "sentiment", "train")


def command_of(run: Run, plan: GridPlan | None) -> str | None:
    """What trains this very configuration here and now, for a shell; None if its directory does not say.

    Args:
        plan: of the run's grid; None for a single run, or where the plan cannot be read.
    """
    if plan and run.planned:
        settings = [f"{name}={_as_yaml(value)}" for name, value in run.planned.parameters.items()]
        return shlex.join([*_TRAIN, plan.base, *(part for one in settings for part in ("--set", one))])
    if run.record is None:
        return None
    typed = run.record.command[1:]
    if typed[:1] == ["train"]:
        return shlex.join([*_TRAIN, *typed[1:]])
    # A task or a program of somebody's has trained it; its stored configuration is a configuration file too.
    return shlex.join([*_TRAIN, str(run.run_dir.config_file)])


def _as_yaml(value: Any) -> str:
    """A value as `--set` reads it."""
    return _text_as_yaml(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@cache
def _text_as_yaml(text: str) -> str:
    """A text without quotes where YAML reads it as that text, else with them."""
    try:
        is_plain = text.isprintable() and parse_override(f"name={text}")[1] == text
    except ConfigError:
        is_plain = False
    return text if is_plain else json.dumps(text, ensure_ascii=not text.isprintable())
