"""Several clusters and several people on one folder of results: nobody takes another's jobs for lost."""

import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.slurm.cluster import Cluster
from tests.slurm.scenario import scenario
from tests.slurm.stage import SHORT, Stage

_OTHER_USER = "nobody"


def _hold_all(stage: Stage) -> None:
    stage.write_cluster(sbatch={"hold": True})
    stage.write_grid(seed=[1, 2], **SHORT)


def _queue(cluster: Cluster) -> int:
    return len(cluster.run("squeue", "-h", "-r").stdout.splitlines())


@scenario
def test_what_one_cluster_was_given_is_unknown_on_another_and_stays_there(stage: Stage) -> None:
    _hold_all(stage)
    root = stage.cluster.root
    one, two = (Cluster(root.with_name(f"slurm-{name}"), {"ClusterName": name}) for name in ("one", "two"))
    with one as first, two as second:
        stage.cluster = first
        stage.submit()
        stage.cluster = second
        assert set(stage.states().values()) == {"UNKNOWN"}
        reason = "submitted by root on cluster one; ask there"
        assert {row["reason"] for row in stage.rows()} == {reason}
        for output in (stage.rerun(), stage.rerun("--lost"), stage.submit()):
            assert f"2 runs UNKNOWN: {reason}" in output
            assert "nothing to submit" in output
        said = stage.run("cancel", stage.name)
        assert f"not cancelled: 2 runs UNKNOWN: {reason}" in said
        assert "0 runs cancelled" in said
        assert (_queue(first), _queue(second)) == (3, 0)
        assert "2 of 2 runs submitted" in stage.rerun("--unknown")
        stage.cluster = first  # whose own jobs are still in its queue
        assert set(stage.states().values()) == {"PENDING"}
        assert "2 runs cancelled" in stage.run("cancel", stage.name)
        stage.wait(lambda: _queue(first) == 0, "an empty queue")
        assert _queue(second) == 3
        stage.cluster = second
        stage.run("cancel", stage.name)


def _as_other_user(stage: Stage, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command of a user who may read all that root can, Python's folder among it, but write only what he is let."""
    rights = "-all,+dac_read_search"
    user = ("--reuid", _OTHER_USER, "--regid", str(pwd.getpwnam(_OTHER_USER).pw_gid), "--clear-groups")
    capabilities = ("--inh-caps", rights, "--ambient-caps", rights, "--bounding-set", rights)
    return subprocess.run(
        ["setpriv", *user, *capabilities, sys.executable, "-m", "jobs", *arguments, "--results", stage.results.root],
        env=stage.cluster.environ | {"HOME": str(stage.folder), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=stage.folder,
        capture_output=True,
        text=True,
        umask=0o002,
    )


@scenario
def test_what_another_user_submitted_is_unknown_and_writing_is_refused_with_the_reason(stage: Stage) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        Path(folder).chmod(0o755)
        _share(Stage(stage.cluster, Path(folder) / "stage", stage.prepared))


def _share(stage: Stage) -> None:
    _hold_all(stage)
    stage.submit()
    shown = _as_other_user(stage, "status", stage.name)
    assert shown.stdout.count("submitted by root on cluster test; ask there") == 3, shown  # two runs and the report
    refused = _as_other_user(stage, "rerun", "--unknown", "--cluster", "cluster.yaml")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Permission denied" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    for path in (stage.results.root, *stage.results.root.rglob("*")):
        path.chmod(path.stat().st_mode | 0o022)  # as for a group that may write
    kept = _as_other_user(stage, "rerun", "--cluster", "cluster.yaml")
    assert (kept.returncode, kept.stderr) == (0, "")
    assert kept.stdout == "2 runs UNKNOWN: submitted by root on cluster test; ask there\nnothing to submit\n"
    begun = stage.runs[0].dir.path
    begun.mkdir(parents=True)
    begun.chmod(0o755)
    closed = _as_other_user(stage, "rerun", "--unknown", "--cluster", "cluster.yaml")
    assert (closed.returncode, closed.stdout) == (1, "")
    assert f"{begun}: belongs to root, who lets nobody else write there, as in 1 of 2 runs" in closed.stderr
    begun.chmod(0o777)
    taken = _as_other_user(stage, "rerun", "--unknown", "--cluster", "cluster.yaml")
    assert "2 of 2 runs submitted" in taken.stdout, taken.stderr
    assert set(stage.states().values()) == {"PENDING"}  # root's own jobs
    said = _as_other_user(stage, "cancel", stage.name).stdout
    assert "2 runs cancelled" in said
    assert set(stage.states().values()) == {"PENDING"}
    assert "2 runs cancelled" in stage.run("cancel", stage.name)
