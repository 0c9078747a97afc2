"""Vectors go to memory where they fit, by what the machine and the control groups leave."""

from pathlib import Path

import pytest
import torch

from sentiment.training import device
from sentiment.training.device import available_ram, choose_place


def _machine(root: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    proc, groups = root / "proc", root / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    1000 kB\n")
    (proc / "self" / "cgroup").write_text(membership)
    for name, content in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(content)
    return proc, groups


def test_tightest_control_group_above_counts_with_its_cache(tmp_path: Path) -> None:
    files = {
        "job/memory.max": "500000\n",
        "job/memory.current": "400000\n",
        "job/memory.stat": "anon 1\nfile 150000\n",
        "job/step/memory.max": "max\n",
    }
    assert available_ram(*_machine(tmp_path, "0::/job/step\n", files)) == 250_000


def test_memory_that_slurm_grants_counts_too_and_a_group_beyond_its_limit_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control groups of the first kind are not read."""
    files = {"job/memory.max": "100\n", "job/memory.current": "400\n", "job/memory.stat": "file 0\n"}
    assert available_ram(*_machine(tmp_path / "over", "0::/job\n", files)) == 0
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "0")
    assert available_ram(*_machine(tmp_path / "slurm", "4:memory:/slurm\n", {})) == 0


@pytest.mark.parametrize("content", ["", "MemTotal: 9 kB\n", "MemAvailable: many kB\n"])
def test_what_cannot_be_read_leaves_nothing(tmp_path: Path, content: str) -> None:
    proc, groups = _machine(tmp_path, "0::/\n", {})
    (proc / "meminfo").write_text(content)
    assert available_ram(proc, groups) == 0


def test_half_of_the_memory_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "available_ram", lambda: 1000)
    assert choose_place(500, torch.device("cpu")) == "RAM"
    assert choose_place(501, torch.device("cpu")) == "disk"
