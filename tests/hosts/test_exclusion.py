"""Of processes on several hosts one at a time holds a lock, whatever the kernel's locks are worth between them."""

from pathlib import Path

import pytest

from tests.hosts.hosts import Hosts

pytestmark = pytest.mark.slow

ROUNDS = 25

# Each time a process has the lock it makes a file that must not exist, and deletes it.
CONTEND = f"""
import sys, time
from pathlib import Path
from sentiment.errors import LockedError
from sentiment.runs.attempts import ProcessLock

folder, tokens = Path(sys.argv[1]), []
sys.stdin.readline()
while len(tokens) < {ROUNDS}:
    try:
        with ProcessLock(folder / "lock") as lock:
            (folder / "inside").touch(exist_ok=False)
            tokens.append(lock.token)
            (folder / "inside").unlink()
    except LockedError:
        pass
    time.sleep(0.001)
print(*tokens)
"""


def test_no_two_processes_are_inside_at_once_and_no_token_is_given_twice(hosts: Hosts, tmp_path: Path) -> None:
    processes = [hosts.start(host, CONTEND, str(tmp_path)) for host in ("a", "a", "b", "c")]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    tokens = []
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        own = [int(word) for word in output.split()]
        assert own == sorted(own)
        tokens += own
    assert len(set(tokens)) == len(tokens) == 4 * ROUNDS
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
