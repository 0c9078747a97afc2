"""Waiting for a moment in the life of a process, with little work: others need the processor."""

import json
import subprocess
import time
from collections.abc import Callable

from sentiment.runs.run_dir import RunDir
from tests.limits import limit


def last_step(run_dir: RunDir) -> int:
    """The step of the last whole row in the metric log."""
    if not run_dir.metrics_file.exists():
        return 0
    with open(run_dir.metrics_file, "rb") as file:
        file.seek(max(0, run_dir.metrics_file.stat().st_size - 5000))
        rows = file.read().split(b"\n")[:-1]
    return int(json.loads(rows[-1])["step"]) if rows else 0


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> bool:
    """Whether the condition became true before the process ended."""
    deadline = time.monotonic() + limit()
    while process.poll() is None:
        asked = time.monotonic()
        if condition():
            return True
        answered = time.monotonic()
        if answered > deadline:
            process.kill()
            output, _ = process.communicate()
            raise AssertionError(f"nothing happened for {limit():.0f} s; it said:\n{output}")
        time.sleep(max(0.001, answered - asked))
    return False
