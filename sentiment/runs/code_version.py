"""The program's own code: which version of it runs, and copies of it that later edits don't reach.

A job that is in a queue for a day, or is requeued, must compute with the code that it was submitted with, and a run
must not silently mix two versions. Submitting therefore copies the packages to `results/code/<id>`, from which tasks
import them, and every checkpoint holds the hash of the code that made it: of all that training imports. Caches are
named by the hash of what computes them (`code_of`).
"""

import ast
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from sentiment.console import silent
from sentiment.files import ROOT, fingerprint, shipped_folder, sync_folder, write_atomically
from sentiment.runs.locks import Lock
from sentiment.runs.records import WEB_ADDRESS, Record
from sentiment.runs.run_dir import Results, read_record, sealed
from sentiment.runs.start_copy import find_damage

_RECORD = "code.json"

# What trains a run, and prepares what it reads.
_TRAINING = "sentiment.training.experiment"

_PACKAGES = ("sentiment", "jobs", "report")
# The kinds of files that the packages are made of. Whatever else lies in their folders, such as what editors and file
# managers leave there, is not the program's.
_OWN_ENDINGS = (".py", ".pyi", ".typed", ".txt", ".csv", ".json", ".yaml", ".j2", ".css", ".js")

_SOURCE_ENDINGS = (".py", ".pyi", ".typed")

# The launcher of programs from a copy of the code.
START = Path(__file__).with_name("start_copy.py")


class CodeVersion(Record):
    """`code.json`: a version of the program, with the SHA-256 of each of its files, by path.

    `training_files` are those of them that can change what a run computes: what training imports, and data beside it.

    `git_dirty` says whether they differed from the commit; both are None outside of a git checkout, or without git.
    `git_remote` is the address of the repository in a browser, if it has one.
    """

    git_commit: str | None
    git_dirty: bool | None
    git_remote: str | None = None
    files: dict[str, str]
    training_files: dict[str, str]

    @property
    def id(self) -> str:
        return _id_of(self.files)

    @property
    def training(self) -> str:
        """SHA-256 of the files that can change what a run computes."""
        return fingerprint(self.training_files)


@cache
def running_id() -> str:
    """The id of `running_code`, without its training files, which take long to find."""
    return _id_of(_digests(_contents(*_PACKAGES)))


@cache
def running_code() -> CodeVersion:
    return _version_of(_contents(*_PACKAGES))


@cache
def code_of(*modules: str) -> str:
    """SHA-256 of the code that these modules run: their own, and that of what they import, see `imported_files`."""
    return fingerprint(_digests(imported_files(modules, _contents("sentiment"))))


def imported_files(modules: Iterable[str], contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of modules, and of all that they import of the program, directly or not, with the data beside them.

    Not followed are imports for types only, and of names that a module only raises: neither changes what it computes.

    Args:
        modules: full names.
        contents: of the program's files, by path.
    """
    imported: dict[str, bytes] = {}
    unread = [path for module in modules for path in _files_of(module)]
    while unread:
        path = unread.pop()
        if path in imported or path not in contents:
            continue
        imported[path] = contents[path]
        for module in _imported_names(contents[path]):
            unread += _files_of(module)
    packages = {PurePosixPath(path).parent for path in imported}
    for path, content in contents.items():
        is_data = not path.endswith(_SOURCE_ENDINGS)
        if is_data and _package_of(path, contents) in packages:
            imported[path] = content
    return dict(sorted(imported.items()))


def _files_of(module: str) -> Iterator[str]:
    """Where a module's file may be, and those of the packages around it, which are imported with it."""
    path = PurePosixPath(*module.split("."))
    for name in (path, *path.parents[:-1]):
        yield f"{name}.py"
        yield f"{name}/__init__.py"


def _package_of(path: str, contents: Mapping[str, bytes]) -> PurePosixPath:
    """The innermost package that a file lies in."""
    folders = PurePosixPath(path).parents
    return next(folder for folder in folders if f"{folder}/__init__.py" in contents)


@cache
def _imported_names(source: bytes) -> list[str]:
    """The full names of what a module imports, also within functions: of modules, or of what is in them."""
    imports = _Imports()
    imports.visit(ast.parse(source))
    return [name for own_name, name in imports.imported if own_name in imports.used]


class _Imports(ast.NodeVisitor):
    """Collects imports, with the names that they have in the module, and the names that the module uses."""

    def __init__(self) -> None:
        self.imported: list[tuple[str, str]] = []
        self.used: set[str] = set()

    def visit_Import(self, node: ast.Import) -> None:
        self.imported += [(alias.asname or alias.name.partition(".")[0], alias.name) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.imported += [(alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names]

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        """What is only raised is not used."""

    def visit_Name(self, node: ast.Name) -> None:
        self.used.add(node.id)


def freeze_code(results: Results) -> str:
    """Copy the current code to `results/code`, or repair a damaged copy; return its id, which is the folder's name."""
    contents = _contents(*_PACKAGES)
    code = _id_of(_digests(contents))
    folder = results.code / code
    results.code.mkdir(parents=True, exist_ok=True)
    with Lock(results.code / "lock", "copies the program's code", silent):
        if find_damage(folder):
            for name, content in contents.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                # Atomically, since tasks may run from a copy while it is repaired.
                write_atomically(folder / name, lambda file, content=content: file.write(content))  # type: ignore[misc]
            sync_folder(folder)
            write_atomically(folder / _RECORD, sealed(_version_of(contents)))
    return code


def training_of(results: Results, code: str) -> str:
    """SHA-256 of the files that can change what a run computes, in a copy of the code; without it, in this code."""
    version = read_record(results.code / code / _RECORD, CodeVersion)
    return (version or running_code()).training


def start_command(module: str, copy: Path | None = None, start: Path = START) -> list[str]:
    """The command that runs a module from a copy of the code (default: the code of this process), without arguments."""
    return [sys.executable, "-u", str(start), str((copy or ROOT).resolve()), module]


def _version_of(contents: dict[str, bytes]) -> CodeVersion:
    """The version with these files, and the commit of the checkout that they are in or were copied from."""
    copied = read_record(ROOT / _RECORD, CodeVersion)
    files = _digests(contents)
    training_files = _digests(imported_files([_TRAINING], contents))
    if copied:
        return copied.model_copy(update={"files": files, "training_files": training_files})
    # Not the repository of somebody's project into which the program was installed.
    is_checkout = (ROOT / ".git").exists()
    state = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") if is_checkout else ""
    version = CodeVersion(git_commit=None, git_dirty=None, files=files, training_files=training_files)
    if not state:
        return version
    commit, _, dirty = state.partition("-")
    remote = web_address(_git("remote", "get-url", "origin"))
    return version.model_copy(update={"git_commit": commit, "git_dirty": dirty != "", "git_remote": remote})


def _id_of(files: Mapping[str, str]) -> str:
    return fingerprint(files)[:16]


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _contents(*packages: str) -> dict[str, bytes]:
    """The files of packages but their documentation, by their paths, in order, whether git knows them or not."""
    contents: dict[str, bytes] = {}
    for package in packages:
        folder = shipped_folder(package, ROOT)
        for path in folder.rglob("*"):
            relative = path.relative_to(folder)
            name = f"{package}/{relative.as_posix()}"
            is_of_another = name.startswith("sentiment/programs/")  # where an installed wheel has `jobs` and `report`
            is_hidden = any(part.startswith(".") for part in relative.parts)
            if path.suffix in _OWN_ENDINGS and path.is_file() and not is_hidden and not is_of_another:
                contents[name] = path.read_bytes()
    return dict(sorted(contents.items()))


def _git(*arguments: str) -> str:
    """The output of a git command in the checkout; empty if there is no git or no checkout, or the command fails."""
    # Also if it belongs to another user, as in a container: its code is running already.
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - fixed
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def web_address(remote: str) -> str | None:
    """The address of a git remote in a browser, without the credentials that it may hold; None for a local one."""
    with_scheme = re.sub(r"^(?:[\w.-]+@)?([\w.-]+):(?!//)", r"ssh://\1/", remote)
    try:
        parts = urlsplit(with_scheme)
    except ValueError:  # such as an open bracket
        return None
    path = parts.path.rstrip("/").removesuffix(".git").rstrip("/")
    address = f"https://{parts.hostname}{path}"
    is_remote = parts.scheme in ("http", "https", "ssh", "git") and parts.hostname
    return address if is_remote and re.fullmatch(WEB_ADDRESS, address) else None
