"""Resources: defaults that work anywhere, changes for a grid or a kind of job, and slips told before Slurm is asked."""

import re
from pathlib import Path
from typing import Any

import pytest

from jobs.job_kinds import KindName
from jobs.slurm.resources import ClusterFile, read_cluster
from tests.jobs.grid_files import GRIDS, refusal, write_yaml


@pytest.fixture(autouse=True)
def _shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SBATCH_ACCOUNT", "SBATCH_PARTITION"):
        monkeypatch.delenv(name, raising=False)


def test_shipped_file_names_nothing_that_only_one_site_has_and_asks_for_no_gpu_to_write_a_report() -> None:
    file = read_cluster(GRIDS.parent / "cluster.yaml")
    for section in file.sections().values():
        assert (section.partition, section.account, section.setup, section.sbatch) == (None, None, [], {})
    assert (file.resources("rnn", "report").gpus, file.resources("rnn").gpus) == (0, 1)
    assert set(file.grids) <= {path.stem for path in GRIDS.glob("*.yaml")}


def test_example_of_the_readme_gives_no_gpu_to_the_report(tmp_path: Path) -> None:
    text = (GRIDS.parents[1] / "jobs" / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^    defaults: .*\n    grids: .*\n", text, re.MULTILINE)
    path = tmp_path / "cluster.yaml"
    path.write_text(re.sub("^    ", "", example, flags=re.MULTILINE), encoding="utf-8")
    file = read_cluster(path)
    assert (file.resources("rnn").gpus, file.resources("rnn", "report").gpus) == (1, 0)
    assert file.resources("smoke").at_once == 4


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ({"data": {"gpus": 1}}, "data", {"gpus": 1, "cpus": 4}),
        ({"defaults": {"gpus": 2, "cpus": 9, "account": "low"}}, "report", {"gpus": 0, "cpus": 1, "account": "low"}),
        ({"defaults": {"time_minutes": 5}, "report": {"cpus": 3}}, "report", {"cpus": 3, "time_minutes": 30}),
        ({"defaults": {"gpus": 2, "cpus": 9}}, "data", {"gpus": 0, "cpus": 9}),
        ({"defaults": {"gpus": 2}, "cache": {"cpus": 3}}, "cache", {"gpus": 2, "cpus": 3}),
        ({"defaults": {"sbatch": {"--gres": "shard:2"}}}, "cache", {"sbatch": {"gres": "shard:2"}}),
        ({"defaults": {"sbatch": {"gres": "shard:2", "qos": "a"}}}, "data", {"gpus": 0, "sbatch": {"qos": "a"}}),
        (
            {"defaults": {"sbatch": {"qos": "a"}}, "data": {"sbatch": {"nice": 1}}},
            "data",
            {"sbatch": {"qos": "a", "nice": 1}},
        ),
        ({"defaults": {"sbatch": {"qos": "a"}}, "data": {"sbatch": {"--qos": None}}}, "data", {"sbatch": {}}),
    ],
    ids=str,
)
def test_section_is_laid_over_what_its_kind_of_job_needs_by_itself(
    tmp_path: Path, values: dict[str, Any], kind: KindName, expected: dict[str, Any]
) -> None:
    resources = read_cluster(write_yaml(tmp_path / "cluster.yaml", values)).resources("rnn", kind)
    assert {name: getattr(resources, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        ({"cpus": 3}, ("bio", "cpu")),
        ({"account": "physics", "partition": "gpu"}, ("physics", "gpu")),
        ({"account": None}, (None, "cpu")),
    ],
    ids=str,
)
def test_account_and_partition_of_the_users_shell_count_where_the_file_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defaults: dict[str, Any], expected: tuple[str | None, str]
) -> None:
    """Also for the final job's own submissions, on a node where the shell's variables are not set."""
    monkeypatch.setenv("SBATCH_ACCOUNT", "bio")
    monkeypatch.setenv("SBATCH_PARTITION", "cpu")
    file = read_cluster(write_yaml(tmp_path / "cluster.yaml", {"defaults": defaults}))
    monkeypatch.delenv("SBATCH_ACCOUNT")
    monkeypatch.delenv("SBATCH_PARTITION")
    resources = ClusterFile.model_validate(file.as_given()).resources("rnn")
    assert (resources.account, resources.partition) == expected


@pytest.mark.parametrize(
    "options",
    [
        *({"time": "1:00:00"}, {"--mem": "4G"}, {"ntasks-per-node": 4}, {"qos": ["a", "b"]}, {"x; rm": "a"}),
        *({"clusters": "b"}, {"cluster": "b"}, {"--test-only": True}, {"parsable": True}, {"quiet": True}),
        *({"wait": True}, {"comment": "a\n#SBATCH --wrap=b"}),
    ],
    ids=str,
)
def test_options_that_contradict_the_program_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    told = refusal(read_cluster, write_yaml(tmp_path / "cluster.yaml", {"defaults": {"sbatch": options}}))
    assert told.startswith("defaults.sbatch: ")
    assert next(iter(options)).lstrip("-") in told
    assert len(told.splitlines()) == 1 or "comment" in options


def test_memory_that_would_round_to_all_of_a_node_is_refused(tmp_path: Path) -> None:
    file = write_yaml(tmp_path / "cluster.yaml", {"defaults": {"memory_gb": 0.0001}})
    assert "defaults.memory_gb" in refusal(read_cluster, file)
