"""The house rules that a machine can check: one name for one thing, short functions, few parameters, whole files."""

import ast
from collections import Counter
from functools import cache
from importlib import import_module

import pytest

from sentiment.files import ROOT

pytestmark = pytest.mark.slow

FILES = sorted(path for package in ("sentiment", "jobs", "report") for path in (ROOT / package).rglob("*.py"))
MOST_PARAMETERS = 6
MOST_LINES_OF_A_FUNCTION = 40
MOST_LINES_OF_A_FILE = 600

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def _trees() -> dict[str, ast.Module]:
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def _public() -> list[tuple[str, Function | ast.ClassDef]]:
    return [
        (file, node)
        for file, tree in _trees().items()
        for node in tree.body
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")
    ]


def _is_command(function: Function) -> bool:
    """Whether it is a command of a command line: its parameters are the options that a user sees."""
    decorators = [one.func if isinstance(one, ast.Call) else one for one in function.decorator_list]
    return any(isinstance(one, ast.Attribute) and one.attr in ("command", "callback") for one in decorators)


def test_public_classes_have_names_of_their_own() -> None:
    names = Counter(node.name for _, node in _public() if isinstance(node, ast.ClassDef))
    assert [name for name, number in names.items() if number > 1] == []


def test_functions_are_short_and_take_at_most_six_parameters() -> None:
    """Docstrings count for nothing, since they should be as long as they need to be."""
    long = []
    functions = [
        (file, node) for file, tree in _trees().items() for node in ast.walk(tree) if isinstance(node, Function)
    ]
    for file, function in functions:
        first, arguments = function.body[0], function.args
        docstring = ast.get_docstring(function) is not None
        lines = (function.end_lineno or 0) - ((first.end_lineno or 0) if docstring else first.lineno - 1)
        names = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        number = 0 if _is_command(function) else len(names - {"self", "cls"})
        if lines > MOST_LINES_OF_A_FUNCTION or number > MOST_PARAMETERS:
            long.append(f"{file}:{function.lineno} {function.name}: {lines} lines, {number} parameters")
    assert long == []


def test_files_are_no_longer_than_one_concept() -> None:
    lines = {file: (ROOT / file).read_text(encoding="utf-8").count("\n") for file in _trees()}
    assert {file: number for file, number in lines.items() if number > MOST_LINES_OF_A_FILE} == {}


def _is_short(node: Function | ast.ClassDef) -> bool:
    """Whether it is a function of five statements, whose name says what it is."""
    return isinstance(node, Function) and sum(isinstance(part, ast.stmt) for part in ast.walk(node)) <= 6


def test_every_public_thing_says_what_it_is() -> None:
    silent = [file for file, tree in _trees().items() if ast.get_docstring(tree) is None]
    silent += [
        f"{file}:{node.lineno} {node.name}"
        for file, node in _public()
        if not (_is_short(node) or ast.get_docstring(node))
    ]
    assert silent == []


# What tests make smaller or cannot wait for, as users have it.
CONSTANTS = {
    "sentiment.runs.locks": {"_BEAT_SECONDS": 5, "_DEAD_SECONDS": 60, "_POLL_SECONDS": 0.5},
    "jobs.grid_jobs": {"_RECENT_SECONDS": 3600},
    "jobs.slurm.commands": {"_POLL_SECONDS": 0.5, "_RESTART_SECONDS": 15},
    "sentiment.data.vocabulary": {"_MIN_COUNT": 3, "_WINDOW": 5},
    "sentiment.encoders.shards": {"_MIN_TOKENS": 16_384, "_TYPES_PER_SHARD": 65_536},
    "sentiment.files": {"_STALE_SECONDS": 86_400},
    "sentiment.training.tracking": {"SECONDS_AFTER_COMPLETION": 10, "SECONDS_AFTER_STOP": 2, "_POLL_SECONDS": 2}
    | {"_CONFIRM_SECONDS": 5, "_EXIT_TIMEOUT_SECONDS": 90},
}


def test_constants_that_tests_patch_are_as_they_were_chosen() -> None:
    found = {name: {one: getattr(import_module(name), one) for one in chosen} for name, chosen in CONSTANTS.items()}
    assert found == CONSTANTS
