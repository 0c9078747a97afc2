"""Run first by a process, which then believes to be on another host.

HOST_NAME is what it is called there, and HOST_LOCKS says how far flock reaches: "shared" (as it is) or "local" (to
processes of the same host, by files in HOST_FOLDER that are locked instead).
"""

import fcntl
import os
import socket
from typing import Any

_NAME, _LOCKS, _FOLDER = (os.environ[f"HOST_{name}"] for name in ("NAME", "LOCKS", "FOLDER"))
_flock, _uname = fcntl.flock, os.uname
_aside: dict[tuple[int, int], int] = {}


def _uname_of_host() -> os.uname_result:
    return os.uname_result((_uname()[0], _NAME, *_uname()[2:]))


def _flock_of_host(file: Any, operation: int) -> None:
    descriptor = file if isinstance(file, int) else file.fileno()
    at = os.fstat(descriptor)
    path = f"{_FOLDER}/{_NAME}-{at.st_dev}-{at.st_ino}"
    aside = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _flock(aside, operation)
    if operation & fcntl.LOCK_SH:  # whoever asks so looks only whether somebody has it
        os.close(aside)


socket.gethostname = lambda: _NAME
os.uname = _uname_of_host
if _LOCKS == "local":
    fcntl.flock = _flock_of_host
