"""The program's own code: which version of it runs, and copies of it that later edits don't reach.

A job that waits in a queue for a day, or is requeued, must compute with the code that it was submitted with, and a run
must not silently mix two versions. Submitting therefore copies the packages to `results/code/<id>`, from which tasks
import them, and every checkpoint holds the hash of the code that made it.
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from sentiment.console import silent
from sentiment.files import ROOT, fingerprint, shipped_folder, sync_folder, write_atomically
from sentiment.runs.locks import ProcessLock
from sentiment.runs.records import WEB_ADDRESS, Record
from sentiment.runs.run_dir import Results, read_record, sealed
from sentiment.runs.start_copy import find_damage

_RECORD = "code.json"

# Modules of `sentiment` that cannot change what training computes.
_NOT_AFFECTING_TRAINING = (
    "sentiment/__main__.py",
    "sentiment/command_line.py",
    "sentiment/console.py",
    "sentiment/inference/",
    "sentiment/api.py",
    "sentiment/runs/start_copy.py",
    "sentiment/training/tracking.py",
    "sentiment/version.py",
)

# The kinds of files that the packages are made of. Whatever else lies in their folders, such as what editors and file
# managers leave there, is not the program's.
_OWN_ENDINGS = (".py", ".pyi", ".typed", ".txt", ".csv", ".json", ".yaml", ".j2", ".css", ".js")

# The launcher of programs from a copy of the code.
START = Path(__file__).with_name("start_copy.py")


class CodeVersion(Record):
    """`code.json`: a version of the program, with the SHA-256 of each of its files, by path.

    `git_dirty` says whether they differed from the commit; both are None outside of a git checkout. `git_remote` is the
    address of the repository in a browser, if it has one.
    """

    git_commit: str | None
    git_dirty: bool | None
    git_remote: str | None = None
    files: dict[str, str]

    @property
    def id(self) -> str:
        return fingerprint(self.files)[:16]

    @property
    def training_files(self) -> dict[str, str]:
        """The SHA-256 of each file that can change what a run computes, by path."""
        names = [name for name in self.files if name.startswith("sentiment/")]
        return {name: self.files[name] for name in names if not name.startswith(_NOT_AFFECTING_TRAINING)}

    @property
    def training(self) -> str:
        """SHA-256 of the files that can change what a run computes."""
        return fingerprint(self.training_files)


@cache
def running_code() -> CodeVersion:
    return _version_of(_contents())


def freeze_code(results: Results) -> str:
    """Copy the current code to `results/code`, or repair a damaged copy; return its id, which is the folder's name."""
    contents = _contents()
    version = _version_of(contents)
    folder = results.code / version.id
    results.code.mkdir(parents=True, exist_ok=True)
    with ProcessLock(results.code / "lock", "copies the program's code", silent):
        if find_damage(folder):
            for name, content in contents.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                # Atomically, since tasks may run from a copy while it is repaired.
                write_atomically(folder / name, lambda file, content=content: file.write(content))  # type: ignore[misc]
            sync_folder(folder)
            write_atomically(folder / _RECORD, sealed(version))
    return version.id


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
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    if copied:
        return copied.model_copy(update={"files": files})
    # Not the repository of somebody's project into which the program was installed.
    is_checkout = (ROOT / ".git").exists()
    state = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") if is_checkout else ""
    if not state:
        return CodeVersion(git_commit=None, git_dirty=None, files=files)
    commit, _, dirty = state.partition("-")
    remote = web_address(_git("remote", "get-url", "origin"))
    return CodeVersion(git_commit=commit, git_dirty=dirty != "", git_remote=remote, files=files)


def _contents() -> dict[str, bytes]:
    """The files of the packages but their documentation, by their paths, in order, whether git knows them or not."""
    contents = {name: path.read_bytes() for name, path in _own_files()}
    return dict(sorted(contents.items()))


def _own_files() -> Iterator[tuple[str, Path]]:
    for package in ("sentiment", "jobs", "report"):
        folder = shipped_folder(package, ROOT)
        for path in folder.rglob("*"):
            relative = path.relative_to(folder)
            name = f"{package}/{relative.as_posix()}"
            is_of_another = name.startswith("sentiment/programs/")  # where an installed wheel has `jobs` and `report`
            is_hidden = any(part.startswith(".") for part in relative.parts)
            if path.suffix in _OWN_ENDINGS and path.is_file() and not is_hidden and not is_of_another:
                yield name, path


def _git(*arguments: str) -> str:
    """The output of a git command in the checkout; empty if there is no git or no checkout, or the command fails."""
    command = ["git", "-C", str(ROOT), *arguments]
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
