"""What jobs request grows with what they lacked, up to what the site has; what Slurm refuses harms no other run;
what the doctor says of a site."""

import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.slurm.commands import max_array_size, read_limits
from jobs.slurm.resources import Lacked, Limits, Resources, sufficient
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.errors import SlurmError, UnansweredError
from sentiment.runs.run_dir import Results
from tests.commands import refused, succeed
from tests.jobs.fake_slurm import FakeSlurm
from tests.jobs.grid_files import write_yaml

OUT_OF_MEMORY = "slurmstepd: error: Detected 1 oom_kill event in StepId=6.0. Some have been OOM Killed.\n"


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("infinite", math.inf), ("30:00", 30), ("1:30:00", 90), ("2-01:00:00", 2940), ("n/a", math.inf)],
)
def test_limits_are_those_of_the_largest_nodes_and_of_the_longest_jobs(
    slurm: FakeSlurm, limit: str, minutes: float
) -> None:
    assert (read_limits(None), read_limits("main"), read_limits("a")) == (Limits(16, 240), Limits(16, 240), Limits())
    slurm.fail("sinfo", f"printf 'a|2048|0:10\\na|4096|1:00\\nb|1024|{limit}\\nc|8192|infinite\\n'; exit 0")
    assert read_limits("a,b") == Limits(4, max(minutes, 1))
    assert read_limits(None) == Limits()  # none is the default
    slurm.fail("sinfo", "echo 'a partition|'; exit 0")
    with pytest.raises(UnansweredError, match="unexpected output 'a partition"):
        read_limits(None)


_SITE = Limits(16, 240)


@given(st.lists(st.sampled_from(["OUT_OF_MEMORY", "TIMEOUT", "NODE_FAIL", "PREEMPTED"]), max_size=8))
def test_no_later_ending_takes_back_what_a_run_was_given_after_an_earlier_one(states: list[str]) -> None:
    configured = Resources(memory_gb=4, time_minutes=60)
    lacked, had = Lacked(), configured
    for state in states:
        lacked = lacked.after(state, had)
        request = sufficient(configured, lacked, _SITE)
        assert (request.memory_gb or 0) >= min(16, (had.memory_gb or 0) * (2 if state == "OUT_OF_MEMORY" else 1))
        assert request.time_minutes >= min(240, had.time_minutes * (2 if state == "TIMEOUT" else 1))
        assert request.time_minutes <= 240
        had = request
    assert sufficient(configured, Lacked(), _SITE) == configured


def test_what_a_run_lacked_once_is_kept_though_its_grid_asks_for_less_since() -> None:
    lacked = Lacked(minutes=120, memory_gb=8)
    less = Resources(time_minutes=60, memory_gb=4)
    assert lacked.after("TIMEOUT", less).after("OUT_OF_MEMORY", less) == lacked


def test_memory_is_compared_for_one_run() -> None:
    lacked = Lacked().after("OUT_OF_MEMORY", Resources(memory_gb=16, at_once=4))
    assert sufficient(Resources(memory_gb=16, at_once=4), lacked, _SITE).memory_gb == 16
    assert sufficient(Resources(memory_gb=2, at_once=1), lacked, _SITE).memory_gb == 8


def test_site_without_job_arrays_is_told_from_one_with_an_unknown_limit(slurm: FakeSlurm) -> None:
    assert max_array_size() == 1001
    slurm.fail("scontrol", "echo 'ClusterName = test'; echo 'MaxArraySize = 0'; exit 0")
    with pytest.raises(SlurmError, match="MaxArraySize is 0"):
        max_array_size()


@pytest.mark.parametrize("name", ["100%j", "a\\b"])
def test_results_whose_path_sbatch_takes_for_a_pattern_are_refused(slurm: FakeSlurm, tmp_path: Path, name: str) -> None:
    results = Results(tmp_path / name)
    grid = slurm.write_grid({"seed": [1]})
    assert "for a pattern" in refused(1, "submit", grid, "--results", results.root)
    assert not [order for order in slurm.orders if order.startswith("sbatch")]


@pytest.mark.usefixtures("no_slurm")
def test_doctor_says_how_to_go_on_without_slurm_and_a_slip_is_a_problem(results: Results, tmp_path: Path) -> None:
    cluster = write_yaml(tmp_path / "cluster.yaml", {"defaults": {"gpus": 1}, "grids": {"some": {}}})
    told = succeed("doctor", "--cluster", cluster, "--results", results.root)
    assert f"`sentiment submit smoke --local --results {results.root}`" in told
    write_yaml(cluster, {"defaults": {"gpu": 1}})
    assert "defaults.gpu: unknown key" in refused(1, "doctor", "--cluster", cluster, "--results", results.root)


def _two_runs(slurm: FakeSlurm) -> SubmissionDir:
    """An array of two runs: the first one lacked memory, the second one failed; the report was cancelled."""
    slurm.submit({"seed": [1, 2]})
    *_, training, report = read_submissions(slurm.results)
    for task, end in enumerate((OUT_OF_MEMORY, "srun: error: n1: task 0: Exited with exit code 1\n")):
        (training.logs / f"{training.task_address(task)}_0_log.out").write_text(end)
    slurm.change("@PENDING@", "@FAILED@")
    slurm.change(f"@{report.job_id}@N/A@FAILED@", f"@{report.job_id}@N/A@CANCELLED@")
    return training


def test_refused_request_is_the_failure_of_its_own_run(slurm: FakeSlurm) -> None:
    lacking, failed = _two_runs(slurm).run_ids
    slurm.fail("sbatch", 'grep -q mem=16384M "$file" && { echo "error: Memory specification" >&2; exit 1; }')
    output = slurm.told(1, "rerun", "some")
    assert slurm.tasks == {failed: 1}
    assert [line for line in output.splitlines() if lacking in line and "Memory specification" in line]
    slurm.heal()
    assert slurm.call("rerun", "some")[0] == 0
    assert slurm.tasks == {failed: 1, lacking: 1}


@pytest.mark.parametrize(
    "reason",
    [
        "PartitionTimeLimit",
        "PartitionConfig",
        "Job's account not permitted to use this partition (gpu allows bio not physics)",
        "QOSMaxGRESPerJob",
        "QOSMinGRES",
    ],
)
def test_job_that_the_site_never_starts_is_replaced(slurm: FakeSlurm, reason: str) -> None:
    slurm.submit({"seed": [1]})
    slurm.change("@PENDING@None@", f"@PENDING@{reason}@")
    assert reason in slurm.told(1, "status", "some")
    slurm.told(0, "rerun", "some")
    assert list(slurm.tasks.values()) == [1]


def test_runs_whose_preparation_the_site_never_starts_do_not_wait_for_it(slurm: FakeSlurm) -> None:
    grid = slurm.submit({"seed": [1, 2]})
    data, training, _ = read_submissions(slurm.results)
    assert (data.submission.kind, training.submission.after) == ("data", f"afterok:{data.job_id}")
    slurm.change(f"@{data.job_id}@0@PENDING@None@", f"@{data.job_id}@0@PENDING@QOSMinGRES@")
    slurm.change("@PENDING@None@", "@PENDING@Dependency@")
    assert "its data job FAILED: QOSMinGRES: Slurm never starts job" in slurm.told(1, "status", "some")
    slurm.told(0, "submit", grid)
    assert list(slurm.tasks.values()) == [1, 1]


def test_job_that_squeue_lacks_is_asked_for_by_its_id(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm.submit({"seed": [1, 2]})
    slurm.fail("squeue", "alter='sed 3,\\$d'")  # it lists one task of two
    assert {*slurm.states} <= {"PENDING", "UNKNOWN"}
    slurm.fail("squeue", "alter='head -n 1'")
    assert slurm.states == ["UNKNOWN"] * 2
    assert slurm.call("rerun")[0] == 1
    assert [*slurm.tasks.values()] == [1, 1]
    monkeypatch.setattr("jobs.grid_jobs._RECENT_SECONDS", 0.0)
    assert slurm.states == ["UNKNOWN"] * 2
    slurm.forget()  # as when Slurm has forgotten them
    assert slurm.states == ["LOST"] * 2
    for folder in read_submissions(slurm.results):
        slurm.add("of somebody else", folder.job_id, None, "RUNNING")  # as when Slurm's counter began anew
    assert slurm.states == ["LOST"] * 2


def test_final_job_that_a_cut_list_lacks_is_submitted_once(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = slurm.submit({"seed": [1, 2]})
    monkeypatch.setattr("jobs.grid_jobs._RECENT_SECONDS", 0.0)
    slurm.fail("squeue", "alter='sed \\$d'")  # its last line is the final job
    assert "nothing to submit" in slurm.call("submit", grid)[1]
    assert len([folder for folder in read_submissions(slurm.results) if folder.submission.job_kind.final]) == 1


def test_grid_is_not_recorded_where_no_batch_file_is_written(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = slurm.write_grid({"seed": [1, 2]})
    monkeypatch.setitem(sys.modules, "submitit", None)
    monkeypatch.delitem(sys.modules, "jobs.slurm.sbatch", raising=False)
    assert slurm.call("submit", grid)[0] == 1
    assert (slurm.results.read_grid("some"), read_submissions(slurm.results)) == (None, [])


def test_plan_stays_while_it_is_not_known_whether_slurm_has_its_job(slurm: FakeSlurm) -> None:
    grid = slurm.write_grid({"seed": [1, 2]})
    slurm.fail("sbatch", "alter='echo the answer is lost #'")
    slurm.fail("scontrol", "case $* in *'show job'*) exit 1;; esac")
    assert "it is not known whether the job was accepted" in slurm.told(1, "submit", grid)
    slurm.heal()
    assert slurm.call("submit", "some")[0] == 0
    assert [*slurm.tasks.values()] == [1, 1]


def test_jobs_wait_for_those_of_their_grid_that_were_in_the_queue_before(slurm: FakeSlurm) -> None:
    """Else the report would begin while runs of an earlier submission train, and its own job is replaced."""
    for seeds in ([1], [1, 2]):
        slurm.submit({"seed": seeds})
    jobs = read_submissions(slurm.results)
    first, second = [folder.job_id for folder in jobs if folder.submission.job_kind.trains_runs]
    data = [folder.job_id for folder in jobs if folder.submission.kind == "data"]
    *_, training, report = [folder.submission.after for folder in jobs]
    assert (training, report) == (f"afterok:{':'.join(data)}", f"afterany:{first}:{second}")


def test_report_job_that_cannot_be_cancelled_leaves_the_new_one_accepted(slurm: FakeSlurm) -> None:
    training = _two_runs(slurm)
    (report,) = [folder for folder in read_submissions(slurm.results) if folder.submission.job_kind.final]
    slurm.change(f"@{report.job_id}@N/A@CANCELLED@", f"@{report.job_id}@N/A@PENDING@")
    slurm.fail("scancel", "echo 'scancel: error: Access denied' >&2; exit 1")
    assert "Access denied" in slurm.told(0, "rerun", "some", training.run_ids[1])
    assert read_submissions(slurm.results)[-1].submission.job_kind.final


@pytest.mark.parametrize("records", [["run.json"], ["result.json", "start.json"]], ids=["cancelled", "failed"])
def test_damaged_records_are_set_aside_when_their_run_is_submitted_again(slurm: FakeSlurm, records: list[str]) -> None:
    grid = slurm.submit({"seed": [1]})
    if records == ["run.json"]:
        slurm.call("cancel", "some")
    slurm.change("@PENDING@", "@FAILED@")
    (run_dir,) = slurm.runs
    run_dir.path.mkdir(parents=True)
    for name in records:
        (run_dir.path / name).write_text("{")
    assert slurm.states == ["CANCELLED" if records == ["run.json"] else "FAILED"]
    assert slurm.call("submit", grid)[0] == 0
    assert [*slurm.tasks.values()] == [1]
    assert sorted(path.name for path in run_dir.path.iterdir()) == [f"{name}.damaged" for name in records]


def test_configuration_that_has_changed_is_never_trained_and_submit_writes_it_again(slurm: FakeSlurm) -> None:
    grid = slurm.submit({"seed": [1]})
    for new in (b'"learning_rate":0.92', b"\xff", None):
        slurm.change("@PENDING@", "@FAILED@")
        for folder in read_submissions(slurm.results):
            content = folder.configs_file.read_bytes()
            folder.configs_file.unlink()
            if new:
                folder.configs_file.write_bytes(content.replace(b'"learning_rate":0.02', new))
        output = " ".join(slurm.told(1, "rerun").split())
        assert "configs.jsonl: " in output
        assert slurm.results.command("submit", "some") in output
        assert slurm.call("submit", grid)[0] == 0
        assert [*slurm.tasks.values()] == [1]
