"""The doctor: what a site's settings mean, whether the cluster's file fits its partitions, and what is missing here."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from jobs.doctor import examine_disk, examine_grids, render
from jobs.slurm.resources import Resources
from jobs.slurm.site import Finding, NodeKind, Partition, check_resources, explain_partitions, explain_settings
from sentiment.runs.run_dir import Results
from tests.jobs.grid_files import starts_from, write_base, write_grid, write_yaml
from tests.small_runs import limited_file_size

SETTINGS = {"SLURM_VERSION": "24.11.5", "ClusterName": "c", "JobRequeue": "1", "KillWait": "30 sec"}
GPU_NODES = NodeKind("gpu:a100:4(S:0-1)", 512_000, 64)
CPU_NODES = NodeKind("(null)", 64_000, 16)


def _partition(name: str, *nodes: NodeKind, **settings: str) -> Partition:
    return Partition({"PartitionName": name, "State": "UP", "MaxTime": "UNLIMITED"} | settings, list(nodes))


SITE = [
    _partition("cpu", CPU_NODES, Default="YES"),
    _partition("gpu", CPU_NODES, GPU_NODES, MaxTime="1-02:30:00", GraceTime="60", PreemptMode="REQUEUE"),
    _partition("old", NodeKind("gpu:k80:2", 32_000, 8), State="DRAIN"),
]


def _meaning(topic: str, **settings: str) -> Finding:
    (found,) = [one for one in explain_settings(SETTINGS | settings) if one.topic.startswith(topic)]
    return found


def _run(*arguments: object, path: str | None = None) -> tuple[int, str]:
    environment = {} if path is None else {"PATH": path}
    result = CliRunner().invoke(app, ["doctor", *map(str, arguments)], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def cluster_file(tmp_path: Path) -> Path:
    return write_yaml(tmp_path / "cluster.yaml", {"defaults": {"gpus": 1}})


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


@pytest.mark.parametrize(
    ("topic", "settings", "level", "text"),
    [
        ("JobRequeue 1", {}, "ok", "start again by themselves"),
        ("JobRequeue 0", {"JobRequeue": "0"}, "ok", "unless they ask for it, which those of a grid do"),
        ("preemption off", {"PreemptType": "(null)"}, "ok", "no other job takes"),
        (
            "PreemptMode REQUEUE",
            {"PreemptType": "preempt/qos", "PreemptMode": "REQUEUE"},
            "ok",
            "saves and is requeued; TERM comes first",
        ),
        (
            "PreemptMode REQUEUE",
            {"PreemptType": "preempt/qos", "PreemptMode": "REQUEUE", "PreemptParameters": "send_user_signal"},
            "ok",
            "USR2 comes first (send_user_signal), then TERM",
        ),
        (
            "PreemptMode CANCEL",
            {"PreemptType": "preempt/qos", "PreemptMode": "CANCEL"},
            "note",
            "is cancelled: `jobs rerun` resumes it",
        ),
        (
            "PreemptMode GANG,SUSPEND",
            {"PreemptType": "preempt/qos", "PreemptMode": "GANG,SUSPEND"},
            "ok",
            "is suspended, keeps its memory",
        ),
        ("KillWait 30 s", {}, "ok", "between TERM and KILL"),
        ("KillWait 3 s", {"KillWait": "3 sec"}, "note", "what it does not save is redone"),
        ("MaxArraySize 1001", {}, "ok", "more than 1,001 tasks is submitted as several arrays"),
        ("MaxArraySize 75000", {"MaxArraySize": "75000"}, "ok", "more than 75,000 tasks"),
        ("MinJobAge 300 s", {}, "ok", "squeue remembers"),
        ("no accounting", {"AccountingStorageType": "(null)"}, "ok", "not needed"),
        ("accounting", {"AccountingStorageType": "accounting_storage/slurmdbd"}, "ok", "sacct is asked"),
        ("cred_expire 120 s", {}, "ok", "a requeued task waits"),
        ("cred_expire 5 s", {"AuthInfo": "socket=/run/x,cred_expire=5"}, "ok", "a requeued task waits"),
        ("SlurmdTimeout 300 s", {}, "ok", "a dead node is noticed"),
        ("accounts", {"AccountingStorageEnforce": "associations,limits"}, "note", "defaults.account"),
    ],
)
def test_each_setting_is_told_with_what_it_means(topic: str, settings: dict[str, str], level: str, text: str) -> None:
    found = _meaning(topic, **settings)
    assert (found.topic, found.level) == (topic, level)
    assert text in found.text


def test_partitions_are_told_with_gpus_limits_and_preemption() -> None:
    cpu, gpu, old = explain_partitions(SITE)
    assert (cpu.topic, cpu.text) == ("partition cpu (default)", "no GPU, 16 cores, 62.5 GB; no time limit")
    assert "4 GPUs (gpu:a100:4(S:0-1)), 64 cores, 500 GB" in gpu.text
    assert "at most 1-02:30:00" in gpu.text
    assert "GraceTime 60 s if preempted" in gpu.text
    assert (old.level, old.text.endswith("; is DRAIN")) == ("note", True)


@pytest.mark.parametrize(
    ("asked", "level", "text"),
    [
        ({"gpus": 0}, "ok", "fits cpu"),
        ({"partition": "gpu", "gpus": 4, "memory_gb": 400.0, "cpus": 60}, "ok", "fits gpu"),
        ({"partition": "cpu,gpu", "gpus": 1}, "ok", "fits gpu"),
        ({}, "problem", "cannot run in cpu (1 GPU asked for, 0 there); write partition: gpu"),
        ({"partition": "gpus"}, "problem", "there is no partition gpus, but cpu, gpu, old"),
        ({"partition": "gpu", "gpus": 8}, "problem", "no partition has it all: ask for less"),
        ({"partition": "gpu", "gpu_type": "h100"}, "problem", "GPU of type h100 asked for, gpu:a100:4(S:0-1) there"),
        ({"partition": "gpu", "gres": "shard:2"}, "problem", "2 of gres shard asked for, 0 there"),
        ({"partition": "gpu", "gres": "gpu:1g.10gb:1"}, "problem", "1 of gres gpu:1g.10gb asked for, 0 there"),
        ({"partition": "gpu", "gres": "gpu:a100:4"}, "ok", "fits gpu"),
        ({"partition": "gpu", "time_minutes": 2000}, "problem", "exceeds the limit of gpu: write 1590"),
        ({"partition": "old"}, "problem", "it is DRAIN"),
        ({"gpus": 0, "memory_gb": 100.0}, "problem", "100 GB asked for, 62.5 there); write partition: gpu"),
        ({"gpus": 0, "cpus": 32}, "problem", "32 cores asked for, 16 there"),
    ],
    ids=str,
)
def test_resources_that_no_node_has_are_told_with_what_to_write(
    asked: dict[str, object], level: str, text: str
) -> None:
    found = check_resources("defaults", Resources.model_validate(asked), SITE)
    assert found.level == level
    assert text in found.text


def test_parts_of_gpus_are_counted_by_name_and_type() -> None:
    shared = NodeKind("gpu:1g.10gb:7(S:0,1),gpu:a100:1,shard:a100:16(S:0),nvme:1T", 512_000, 64)
    site = [_partition("shared", shared, Default="YES")]
    for gres, level in (
        ("gpu:1g.10gb:7", "ok"),
        ("gpu:1g.10gb:8", "problem"),
        ("shard:16", "ok"),
        ("mps:1", "problem"),
    ):
        assert check_resources("defaults", Resources(gres=gres), site).level == level, gres


def test_site_without_default_partition_asks_for_a_name() -> None:
    partitions = [_partition("a", GPU_NODES), _partition("b", GPU_NODES)]
    assert "write partition: a or b" in check_resources("defaults", Resources(), partitions).text


def test_without_slurm_it_says_how_to_go_on_and_ends_well(cluster_file: Path, results: Results, tmp_path: Path) -> None:
    code, text = _run("--cluster", cluster_file, "--results", results.root, path=str(tmp_path))
    assert code == 0, text
    assert "there is no Slurm on this machine; `python -m jobs submit GRID --local` runs a grid" in text
    assert "GB are free for" in text
    assert "grid smoke" in text
    assert "W&B" in text
    assert re.search(r"cluster.yaml report +no GPU, 1 core, 30 min", text)


def test_without_slurm_it_ends_with_4_where_slurm_is_demanded(
    cluster_file: Path, results: Results, tmp_path: Path
) -> None:
    options = ("--cluster", cluster_file, "--results", results.root, "--slurm")
    code, text = _run(*options, path=str(tmp_path))
    assert code == 4
    assert "grid smoke" in text


def test_section_for_a_grid_that_does_not_exist_is_told(results: Results, tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "cluster.yaml", {"grids": {"smok": {"gpus": 0}, "smoke": {"gpus": 0}}})
    code, text = _run("--cluster", path, "--results", results.root, path=str(tmp_path))
    assert code == 0
    assert [line for line in text.splitlines() if "there is no grid of this name" in line and "grids.smok " in line]
    assert text.count("there is no grid of this name") == 1


def test_slip_in_the_file_of_the_cluster_is_a_problem(results: Results, tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "cluster.yaml", {"defaults": {"gpu": 1}})
    code, text = _run("--cluster", path, "--results", results.root, path=str(tmp_path))
    assert code == 1
    assert "defaults.gpu: unknown key" in text


def test_each_grid_is_told_with_what_it_lacks(results: Results, tmp_path: Path, tweets_file: Path) -> None:
    base = write_base(tmp_path / "grids", tweets_file)
    write_grid(base, {"seed": [1, 2]}, name="good")
    write_grid(base, {"data.source": ["nowhere.csv", "vader"]}, name="lacking")
    write_grid(base, {"sed": 1}, name="slip")
    write_grid(base, {"seed": 1}, name="later", **starts_from("good", "best"))
    write_grid(
        base,
        {"seed": [1, 2, 3], "training.epochs": 4},
        name="search",
        early_terminate={"type": "hyperband", "min_iter": 1},
    )
    found = {one.topic: one for one in examine_grids(results, base.parent)}
    assert "rung 0: 3 trials to epoch 1, 3 epochs\nrung 1: 1 trials to epoch 3, 2 epochs\n" in found["grid search"].text
    assert "together 6 of the 12 epochs" in found["grid search"].text
    assert found["grid good"] == Finding("ok", "grid good", "2 runs; all that they need is here")
    assert found["grid lacking"].level == "note"
    assert "nowhere.csv': no such file" in found["grid lacking"].text
    assert "`make data DATA=vader`" in found["grid lacking"].text
    assert (found["grid slip"].level, "did you mean 'seed'?" in found["grid slip"].text) == ("problem", True)
    assert (found["grid later"].level, "was never run" in found["grid later"].text) == ("note", True)


def test_disk_is_written_to_before_it_is_called_good(results: Results) -> None:
    assert {one.level for one in examine_disk(results)} == {"ok"}
    with limited_file_size(0):
        (found,) = examine_disk(results)
    assert (found.level, found.topic) == ("problem", "results")
    assert "cannot be written" in found.text


def test_further_lines_of_a_finding_stand_below_its_text() -> None:
    lines = list(render([Finding("ok", "a", "one"), Finding("problem", "longer", "two\nthree")]))
    assert lines == ["ok    a       one", "!!    longer  two", "              three"]


@pytest.fixture(scope="module")
def slurm_conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real cluster's configuration file."""
    from tests.slurm.cluster import Cluster, what_is_missing

    if missing := what_is_missing():
        pytest.skip(missing)
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster.environ["SLURM_CONF"]
    finally:
        cluster.stop()


@pytest.mark.slurm
def test_real_cluster_is_described_and_the_file_checked_against_it(
    slurm_conf: str, cluster_file: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", slurm_conf)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
    code, text = _run("--cluster", cluster_file, "--results", results.root, "--slurm")
    assert code == 0, text
    for expected in (
        "cluster test",
        "JobRequeue 1",
        "PreemptMode REQUEUE",
        "cred_expire 5 s",
        "MaxArraySize 1001",
        "partition main (default)",
        "2 GPUs (gpu:fake:2,shard:fake:4), 8 cores",
        "GraceTime 20 s",
        "cluster.yaml defaults",
        "fits main",
    ):
        assert expected in text
    write_yaml(cluster_file, {"grids": {"elmo": {"partition": "main", "gpus": 3}}})
    code, text = _run("--cluster", cluster_file, "--results", results.root)
    assert code == 1
    assert "cluster.yaml grids.elmo" in text
    assert "cannot run in main (3 GPU asked for, 2 there); no partition has it all: ask for less" in text
