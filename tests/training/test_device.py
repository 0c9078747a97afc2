"""Where a run computes: hardware that has changed is told or refused, and vectors go to memory where they fit."""

from pathlib import Path

import pytest
import torch

from sentiment.errors import RunDirError
from sentiment.training import encoding
from sentiment.training.encoding import available_ram, choose_place
from tests.conftest import MakeExperiment
from tests.small_runs import Experiment, StopWhen


def _stop(run: Experiment) -> None:
    assert run.attempt(StopWhen(lambda question: question == 8)) is not None


def _on(capability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)


def test_run_that_goes_on_on_other_hardware_says_so_once_and_is_marked(
    experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = experiment()
    _on("AVX512", monkeypatch)
    _stop(run)
    _stop(run)
    assert not any("hardware" in line for line in run.said)
    _on("AVX2", monkeypatch)
    _stop(run)
    _stop(run)
    (told,) = [line for line in run.said if "hardware" in line]
    assert "goes on on other hardware: " in told
    assert told.index("(AVX2)") < told.index("(AVX512)")
    run.complete()
    assert [kind.rpartition(" ")[2] for kind in run.record.hardware] == ["(AVX512)", "(AVX2)"]


def test_other_hardware_can_be_refused_and_another_version_of_a_package_is_told(
    experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = experiment(runtime__same_hardware=True)
    _on("AVX512", monkeypatch)
    _stop(run)
    with monkeypatch.context() as patch:
        _on("AVX2", patch)
        refusal = r"\(AVX512\), and here is .*\(AVX2\): runtime\.same_hardware = true lets"
        with pytest.raises(RunDirError, match=refusal):
            run.attempt()
    assert not any("numbers may differ" in line for line in run.said)
    run.run_dir.write_record(run.record.model_copy(update={"versions": {"torch": "0.1"}}))
    run.complete()
    assert f"torch was 0.1 in the last attempt and is {torch.__version__} now: numbers may differ" in run.said


def _machine(root: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    proc, groups = root / "proc", root / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    1000 kB\n")
    (proc / "self" / "cgroup").write_text(membership)
    for name, content in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(content)
    return proc, groups


def test_tightest_control_group_counts_with_its_cache_and_so_does_what_slurm_grants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control groups of the first kind are not read."""
    limited = {"job/memory.max": "500000\n", "job/memory.current": "400000\n"}
    limited |= {"job/memory.stat": "anon 1\nfile 150000\n", "job/step/memory.max": "max\n"}
    assert available_ram(*_machine(tmp_path / "limited", "0::/job/step\n", limited)) == 250_000
    over = limited | {"job/memory.max": "100\n"}
    assert available_ram(*_machine(tmp_path / "over", "0::/job\n", over)) == 0
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "0")
    assert available_ram(*_machine(tmp_path / "slurm", "4:memory:/slurm\n", {})) == 0


@pytest.mark.parametrize("content", ["", "MemTotal: 9 kB\n", "MemAvailable: many kB\n"])
def test_what_cannot_be_read_leaves_nothing(tmp_path: Path, content: str) -> None:
    proc, groups = _machine(tmp_path, "0::/\n", {})
    (proc / "meminfo").write_text(content)
    assert available_ram(proc, groups) == 0


def test_half_of_the_memory_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "available_ram", lambda: 1000)
    assert choose_place(500, torch.device("cpu")) == "RAM"
    assert choose_place(501, torch.device("cpu")) == "disk"
