"""The doctor: what a site's settings mean, whether Slurm would take the jobs, and what is missing here."""

from pathlib import Path

import pytest

from jobs.doctor import examine_disk
from sentiment.runs.run_dir import Results
from tests.commands import invoke, refused
from tests.jobs.grid_files import write_yaml
from tests.small_runs import limited_file_size


@pytest.mark.usefixtures("no_slurm")
def test_without_slurm_it_says_how_to_go_on_and_a_slip_is_a_problem(results: Results, tmp_path: Path) -> None:
    cluster = write_yaml(tmp_path / "cluster.yaml", {"defaults": {"gpus": 1}, "grids": {"nothing": {}}})
    done = invoke("doctor", "--cluster", cluster, "--results", results.root)
    assert done.exit_code == 0
    for expected in (f"`sentiment submit GRID --local --results {results.root}`", "has no grid of this name"):
        assert expected in done.output
    assert "cluster.yaml data" in done.output
    write_yaml(cluster, {"defaults": {"gpu": 1}})
    assert "defaults.gpu: unknown key" in refused(1, "doctor", "--cluster", cluster, "--results", results.root)


def test_disk_is_written_to_before_it_is_called_good(results: Results) -> None:
    assert examine_disk(results).level == "ok"
    with limited_file_size(0):
        found = examine_disk(results)
    assert (found.level, found.topic, "cannot be written" in found.text) == ("problem", "results", True)
