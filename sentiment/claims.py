"""Claims to a lock: a folder for each owner, put in place by a rename at which only one of several hosts succeeds."""

import contextlib
import errno
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sentiment.owner import Owner

# Hidden, since whoever counts files leaves out hidden ones.
_OWNER_FILE = ".owner"
_TRIES = 5


class Claims:
    """The folders of the owners of the lock `path`: for `lock` and token 7 it is `.lock.7`.

    A folder holds the name of its owner from its first instant on. What the owner writes is made in it, so that nothing
    gets its name any more once the folder has been deleted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def folder(self, token: int) -> Path:
        """The folder of the owner with a token."""
        return self._path.with_name(f".{self._path.name}.{token}")

    def newest(self) -> tuple[int, Owner | None, float]:
        """The highest token so far, its owner if that is known, and the last sign of life of it."""
        with open(self._path, "rb") as file:  # opened, since what a client of NFS remembers of a file may be old
            owner, seen = Owner.parse(file.read()), os.fstat(file.fileno()).st_mtime
        token = owner.token if owner else 0
        folders = [(number, folder) for folder, number in self._folders() if number is not None and number > token]
        if not folders:
            return token, owner, seen
        token, folder = max(folders)  # its owner has not yet written its name into the file, or was killed just before
        try:
            return token, Owner.parse((folder / _OWNER_FILE).read_bytes()), max(seen, folder.stat().st_mtime)
        except OSError:
            return token, None, seen

    @contextmanager
    def prepared(self) -> Iterator[Path]:
        """A new folder, for a claim; deleted at the end if it was not put in place."""
        claim = self._path.with_name(f".{self._path.name}.{socket.gethostname()}.{os.getpid()}")
        shutil.rmtree(claim, ignore_errors=True)
        claim.mkdir()
        try:
            yield claim
        finally:
            shutil.rmtree(claim, ignore_errors=True)

    def put(self, claim: Path, owner: Owner) -> bool:
        """Put a prepared folder in its place; False if another process has just done the same."""
        (claim / _OWNER_FILE).write_bytes(owner.encode())
        try:
            claim.rename(self.folder(owner.token))
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        return True

    def stands(self, owner: Owner) -> bool:
        """Whether nobody has revoked a claim."""
        return (self.folder(owner.token) / _OWNER_FILE).exists()

    def revoke(self, token: int) -> None:
        """Delete the folder of an owner."""
        _delete(self.folder(token))

    def revoke_others(self, token: int, old: float) -> None:
        """Delete all folders but that of a token.

        Args:
            old: folders that are still being prepared are deleted if they are older than this, in seconds since 1970.
        """
        for folder, number in list(self._folders()):
            with contextlib.suppress(OSError):  # of a process that prepares a claim at this moment, and gives up
                if number != token and (number is not None or folder.stat().st_mtime < old):
                    _delete(folder)

    def _folders(self) -> Iterator[tuple[Path, int | None]]:
        """The folders of all owners with their tokens; None for those that are being prepared or deleted."""
        prefix = f".{self._path.name}."
        for folder in self._path.parent.iterdir():
            if folder.name.startswith(prefix):
                rest = folder.name.removeprefix(prefix)
                if re.fullmatch(r"\d+(\.revoked)?|\S+\.\d+", rest):
                    yield folder, int(rest) if rest.isdecimal() else None


def _delete(folder: Path) -> None:
    """Delete a folder; it is renamed first, so that nothing can be written to it meanwhile."""
    aside = folder.with_name(f"{folder.name}.revoked")
    shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rename(aside)
    for _ in range(_TRIES):
        shutil.rmtree(aside, ignore_errors=True)
        if not aside.exists():
            return
