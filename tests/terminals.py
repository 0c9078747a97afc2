"""A terminal for programs that look whether they have one."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping


def on_terminal(*command: object, columns: int = 100, environ: Mapping[str, str] = os.environ) -> str:
    """What a module of Python prints on a terminal, with all that steers it."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    words = [sys.executable, "-m", *map(str, command)]
    process = subprocess.Popen(words, stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    shown = b""
    with contextlib.suppress(OSError):  # so a terminal says that nobody writes to it any more
        while part := os.read(ours, 1 << 16):
            shown += part
    os.close(ours)
    process.wait(60)
    return shown.decode()
