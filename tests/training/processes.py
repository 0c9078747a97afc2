"""Waiting for a moment in the life of a process."""

import subprocess
import time
from collections.abc import Callable

from tests.limits import limit


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> bool:
    """Whether the condition became true before the process ended."""
    deadline = time.monotonic() + limit()
    while process.poll() is None:
        if condition():
            return True
        if time.monotonic() > deadline:
            process.kill()
            output, _ = process.communicate()
            raise AssertionError(f"nothing happened for {limit():.0f} s; it said:\n{output}")
        time.sleep(0.0005)
    return False
