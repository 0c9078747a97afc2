"""The house rules that a machine can check: one name for one thing, short functions, few parameters, whole files."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for package in ("sentiment", "jobs", "report") for path in (ROOT / package).rglob("*.py"))
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
MOST_PARAMETERS = 6
MOST_LINES_OF_A_FUNCTION = 40
MOST_LINES_OF_A_FILE = 600

# Words with one meaning in the whole system, and the module that a class of exactly this name belongs to.
WORDS = {
    "Tweet": "sentiment/data/",
    "Corpus": "sentiment/data/corpus.py",
    "Batch": "sentiment/data/batches.py",
    "Run": "report/read.py",
    "Grid": "report/read.py",
    "Attempt": "sentiment/runs/records.py",
    "Baseline": "sentiment/models/baseline.py",
    "Submission": "jobs/submissions.py",
}
# Words that only a part of the system needs: nothing else is called so anywhere.
LOCAL_WORDS = {"slot": ("jobs/",), "submission": ("jobs/",), "desk": (), "herald": (), "floor": ()}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _public_classes() -> dict[str, list[str]]:
    homes = defaultdict(list)
    for file, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(file)
    return homes


def _functions() -> Iterator[tuple[str, Function]]:
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield file, node


def _is_command(function: Function) -> bool:
    """Whether it is a command of a command line: its parameters are the options that a user sees."""
    decorators = [one.func if isinstance(one, ast.Call) else one for one in function.decorator_list]
    return any(isinstance(one, ast.Attribute) and one.attr in ("command", "callback") for one in decorators)


def _identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name


def test_no_two_public_classes_share_a_name() -> None:
    assert {name: files for name, files in _public_classes().items() if len(files) > 1} == {}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_design_names_a_class_in_its_own_place_only(word: str) -> None:
    assert all(file.startswith(WORDS[word]) for file in _public_classes().get(word, []))


@pytest.mark.parametrize("word", LOCAL_WORDS)
def test_a_word_with_one_meaning_is_used_for_nothing_else(word: str) -> None:
    users = {
        (file, name)
        for file, tree in TREES.items()
        for name in _identifiers(tree)
        if word in name.lower().strip("_").split("_") and not file.startswith(LOCAL_WORDS[word])
    }
    assert users == set()


def test_no_function_takes_more_than_six_parameters() -> None:
    long = []
    for file, function in _functions():
        arguments = function.args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        number = len([name for name in names if name not in ("self", "cls")])
        if number > MOST_PARAMETERS and not _is_command(function):
            long.append(f"{file}:{function.lineno} {function.name}: {number}")
    assert long == []


def test_functions_are_short() -> None:
    """Docstrings count for nothing, since they should be as long as they need to be."""
    long = []
    for file, function in _functions():
        first = function.body[0]
        docstring = ast.get_docstring(function) is not None
        start = (first.end_lineno or 0) + 1 if docstring else first.lineno
        lines = (function.end_lineno or 0) - start + 1
        if lines > MOST_LINES_OF_A_FUNCTION:
            long.append(f"{file}:{function.lineno} {function.name}: {lines}")
    assert long == []


def test_files_hold_one_concept() -> None:
    assert [f"{path}: {n}" for path in TREES if (n := _lines(path)) > MOST_LINES_OF_A_FILE] == []


def test_there_is_no_place_for_everything() -> None:
    names = {Path(path).stem for path in TREES}
    assert not names & {"utils", "util", "common", "helpers", "misc", "manager", "core"}


def test_every_public_thing_says_what_it_is() -> None:
    silent = []
    for file, tree in TREES.items():
        if ast.get_docstring(tree) is None:
            silent.append(file)
        for node in tree.body:
            public = isinstance(node, (*Function.__args__, ast.ClassDef)) and not node.name.startswith("_")
            if public and ast.get_docstring(node) is None:
                silent.append(f"{file}:{node.lineno} {node.name}")
    assert silent == []


def _lines(file: str) -> int:
    return (ROOT / file).read_text(encoding="utf-8").count("\n")
