"""How long tests wait for something before they say that it does not happen; nothing fails for being slow before.

All limits are meant for an idle machine and then some; where much else runs, `TEST_PATIENCE=4` makes them four times
as long.
"""

import os
import time
from collections.abc import Callable

_PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))


def limit(seconds: float = 120.0) -> float:
    """A time limit in seconds, to be used wherever a test waits for a process, a file or a queue."""
    return seconds * _PATIENCE


def wait_for(
    condition: Callable[[], object],
    what: str,
    seconds: float = 120.0,
    details: Callable[[], str] = str,
    pause: float = 0.002,
) -> None:
    """Ask until it is true, with a pause in between; the longer an answer takes, the longer: others need the processor.

    After `limit(seconds)`, an AssertionError says what was waited for in vain, and the details.
    """
    end = time.monotonic() + limit(seconds)
    while True:
        asked = time.monotonic()
        if condition():
            return
        answered = time.monotonic()
        if answered > end:
            raise AssertionError(f"waited {limit(seconds):.0f} s in vain for {what}\n{details()}".strip())
        time.sleep(min(1.0, max(pause, 2 * (answered - asked))))
