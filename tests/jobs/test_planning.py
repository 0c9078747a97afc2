"""What a submission asks of Slurm: jobs, resources, code; and what a dry run tells of it."""

import hashlib
import shlex
import subprocess
import sys
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from jobs.dry_run import show_plan
from jobs.grid_jobs import GridJobs
from jobs.job_kinds import JOB_KINDS, OTHER_KINDS, KindName, unprepared
from jobs.launch.plan import (
    ArrayKey,
    Launch,
    earlier_codes,
    group_runs,
    plan_local_jobs,
    plan_slurm_jobs,
    runs_at_once,
    split_among_tasks,
)
from jobs.slurm.resources import ClusterFile, Resources
from jobs.slurm.sbatch import directives
from jobs.status.grid_state import read_grid_status
from jobs.submissions import Submission, SubmissionDir, new_submission
from jobs.tasks.worker import with_threads
from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.console import Console, silent
from sentiment.data.corpus import prepare_corpus
from sentiment.data.guess_columns import resolve_with_guesses
from sentiment.errors import DataError
from sentiment.files import write_atomically
from sentiment.runs.code_version import CodeVersion
from sentiment.runs.run_dir import Results, sealed
from sentiment.training.stop import StopRequest
from tests.commands import refused, succeed
from tests.jobs.grid_files import GRIDS, load_grid, write_grid
from tests.jobs.submitted import GRID, PLAN, a_failure, a_row, queued, submitted, write_job, write_submission
from tests.small_runs import invented_tweets, small_config, write_tweets

pytestmark = pytest.mark.usefixtures("no_slurm")


def _planned(
    results: Results, configs: list[RunConfig], jobs: GridJobs | None = None, states: Iterable[str] = (), **file: Any
) -> list[Submission]:
    """What is submitted for runs, that are PLANNED if there are no `states`, after these jobs."""
    jobs = jobs or GridJobs(())
    rows = [
        a_row(state, run_id=config.run_id) for config, state in zip(configs, states or repeat("PLANNED"), strict=False)
    ]
    arrays = group_runs(rows, {config.run_id: config for config in configs}, None, {}, jobs)
    return plan_slurm_jobs(Launch(arrays), PLAN.name, results, ClusterFile.model_validate(file), jobs)


def _training(results: Results, tweets: Path, runs: int = 1, **resources: object) -> Submission:
    planned = _planned(results, [small_config(tweets, seed=seed) for seed in range(runs)], defaults=resources)
    return next(job for job in planned if job.kind == "train")


def _options(results: Results, part: Submission, after: str | None = None) -> tuple[dict[str, str], str]:
    """What the file for sbatch asks for, by name, and the command."""
    *lines, _, command = directives(new_submission(results, GRID, part, after))
    pairs = [line.removeprefix("#SBATCH --").partition("=") for line in lines if line.startswith("#SBATCH")]
    return {name: value for name, _, value in pairs}, command


def test_training_waits_for_what_it_reads_and_is_followed_by_the_report(results: Results, tweets_file: Path) -> None:
    plain, cached = small_config(tweets_file), small_config(tweets_file, elmo__model="tiny")
    data, cache, training, report = _planned(results, [plain, cached], cache={"parallelism": 3})
    assert (data.kind, data.tasks, data.resources.gpus) == ("data", [[]], 0)
    assert [config.data for config in data.configs] == [plain.data]  # one run for all on the same tweets
    assert (cache.kind, cache.tasks, cache.configs) == ("cache", [[], [], []], [cached])
    assert (training.kind, training.configs, training.parallelism) == ("train", [plain, cached], 2)
    assert (report.kind, report.resources.gpus, report.cluster) == ("report", 0, {"cache": {"parallelism": 3}})
    assert training.cluster == {}  # only the job at the end submits more
    assert "array" not in _options(results, report)[0]


def test_runs_are_dealt_out_to_no_more_tasks_than_allowed() -> None:
    cases = [(5, Resources(tasks=2), [3, 2]), (4, Resources(tasks=9), [1] * 4), (9, Resources(at_once=4), [3, 3, 3])]
    cases += [(9, Resources(at_once=4, tasks=2), [5, 4]), (9, Resources(), [2, 2, 1, 1, 1, 1, 1])]
    for runs, asked, shares in cases:
        dealt = split_among_tasks("abcdefghi"[:runs], asked, max_tasks=7)
        assert [len(share) for share in dealt] == shares
        assert sorted(run for share in dealt for run in share) == [*"abcdefghi"[:runs]]


def test_sbatch_is_told_everything(results: Results, tweets_file: Path) -> None:
    results = Results(results.root / "my $HOME's `results`")
    asked: dict[str, Any] = {"partition": "gpu", "time_minutes": 90, "memory_gb": 1.5, "gpus": 2, "gpu_type": "a100"}
    asked |= {"cpus": 3, "parallelism": 2, "setup": ["module load cuda"]}
    asked["sbatch"] = {"reservation": "course", "exclusive": True, "contiguous": False}
    options, command = _options(results, _training(results, tweets_file, 5, **asked), "afterok:9")
    expected = {"array": "0-4%2", "dependency": "afterok:9", "time": "90", "mem": "1536M", "gpus-per-node": "a100:2"}
    expected |= {"partition": "gpu", "reservation": "course", "cpus-per-task": "3"}
    expected |= {"exclusive": "", "nodes": "1", "ntasks": "1"}
    assert expected.items() <= options.items()
    assert {"requeue", "kill-on-invalid-dep", "open-mode", "output"} <= options.keys()
    assert not {"error", "contiguous"} & options.keys()  # one log for all; what is false is not asked for
    words = shlex.split(command)
    assert words[0] == "srun"
    assert {"--nodes=1", "--ntasks=1", "--cpus-per-task=3"} <= {*words}
    assert words[-1].startswith(str(results.slurm / GRID))


def test_what_is_not_configured_is_left_to_the_site(results: Results, tweets_file: Path) -> None:
    options, _ = _options(results, _training(results, tweets_file, gpus=0, time_minutes=4))
    assert not {"partition", "account", "qos", "mem", "gpus-per-node", "wckey", "dependency"} & set(options)
    assert options["signal"] == "USR2@60"
    assert _options(results, _training(results, tweets_file))[0]["signal"] == "USR2@120"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a shell finds its programs, and a test puts others."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return programs


def test_warning_ends_no_task_without_its_handlers(results: Results, tweets_file: Path, shell: Path) -> None:
    words = shlex.split(_options(results, _training(results, tweets_file))[1])
    guard = words[words.index("sh") : words.index("-u") - 1]
    done = subprocess.run([*guard, "sh", "-c", "kill -USR1 $$; kill -USR2 $$; echo lives"], capture_output=True)
    assert done.stdout == b"lives\n"


@pytest.mark.parametrize("code", [0, 4, 137])
def test_requeue_from_a_container(results: Results, tweets_file: Path, shell: Path, code: int, tmp_path: Path) -> None:
    _, command = _options(results, _training(results, tweets_file, container="my torch.sif"))
    for program, log, ends in (("singularity", "inside", code), ("outside", "outside", 0)):
        (shell / program).write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/{log}"; exit {ends}\n')
        (shell / program).chmod(0o755)
    task = command[command.index("sh -c") :].replace(sys.executable, "outside")
    done = subprocess.run(["sh", "-c", task], capture_output=True, text=True)
    inside = (tmp_path / "inside").read_text().splitlines()
    assert inside[:2] == ["exec", "--nv"]
    assert inside[inside.index("my torch.sif") - 2 :][:4] == ["--pwd", str(Path.cwd()), "my torch.sif", "python3"]
    assert (inside[-1], inside[-2].startswith(str(results.slurm))) == ("--inside", True)
    again = (tmp_path / "outside").read_text().splitlines() if (tmp_path / "outside").exists() else []
    assert (done.returncode, again[-2:]) == ((0, ["--requeue", str(code)]) if code in (4, 5) else (code, []))


HAD: dict[str, Any] = {"time_minutes": 40, "memory_gb": 3}
_NEEDS: dict[KindName, dict[str, object]] = {"cache": {"elmo.model": "tiny"}}
OUT_OF_MEMORY = "slurmstepd: error: Detected 1 oom_kill event in StepId=6.0. Some have been OOM Killed.\n"


def _next(results: Results, tweets: Path, jobs: GridJobs, kind: KindName) -> Resources:
    """What the next job of a kind gets, of a grid whose tweets are not prepared and whose runs need such a job."""
    config = resolve({}, {"data.source": str(tweets), **_NEEDS.get(kind, {})}, "a test")
    cluster = {"defaults": {"time_minutes": 20, "memory_gb": 2}, "report": {"time_minutes": 20}}
    return next(job.resources for job in _planned(results, [config], jobs, **cluster) if job.kind == kind)


@pytest.mark.parametrize("kind", [kind.name for kind in OTHER_KINDS])
@pytest.mark.parametrize(
    ("state", "minutes", "memory"), [("TIMEOUT", 80, 2), ("OUT_OF_MEMORY", 20, 6), ("FAILED", 20, 2)]
)
def test_job_that_had_too_little_gets_more_of_it(
    results: Results, tweets_file: Path, kind: KindName, state: str, minutes: int, memory: float
) -> None:
    folder = submitted(results, kind, "6", **HAD)
    job = queued(folder, None if folder.submission.job_kind.final else 0, "None", state)
    given = _next(results, tweets_file, GridJobs([folder], [job]), kind)
    assert (given.time_minutes, given.memory_gb) == (minutes, memory)


def test_rerun_gets_more_of_what_was_lacking(results: Results) -> None:
    configs = [resolve({}, {"seed": seed}, "a test") for seed in range(4)]
    ran = write_submission(results, [[one] for one in configs], time_minutes=90, memory_gb=8)
    for config in configs:
        ran.run_log(config.run_id).touch()
    never_ran = write_submission(results, [[one] for one in configs], time_minutes=180, memory_gb=16)
    jobs, states = GridJobs([ran, never_ran], []), ("OUT_OF_MEMORY", "TIMEOUT", "FAILED", "LOST")
    given = {"time_minutes": 60, "memory_gb": 4, "memory_factor": 1.5}
    training = [job for job in _planned(results, configs, jobs, states, defaults=given) if job.kind == "train"]
    assert [len(job.tasks) for job in training] == [1, 1, 2]
    assert [job.resources.memory_gb for job in training] == [12, 4, 4]
    assert [job.resources.time_minutes for job in training] == [60, 180, 60]


def test_forgotten_job_is_judged_by_its_log_and_by_what_it_wrote(results: Results, tweets_file: Path) -> None:
    folder = submitted(results, "data", "6", **HAD)
    assert _next(results, tweets_file, GridJobs([folder], []), "data").memory_gb == 2
    (folder.logs / "6_0_0_log.out").write_text(OUT_OF_MEMORY)
    assert _next(results, tweets_file, GridJobs([folder], []), "data").memory_gb == 6
    # where no cgroup kills it, Slurm knows only that a process was killed
    failed = GridJobs([folder], [queued(folder, 0, "None", "FAILED")])
    assert failed.other_job_states() == {"data": "OUT_OF_MEMORY"}
    running = GridJobs([folder], [queued(folder, 0, "None", "RUNNING")])
    assert (running.other_job_states(), running.failed_other_jobs) == ({"data": "RUNNING"}, {})
    for error, lacked in (("MemoryError", (20, 6)), ("NoProgressError", (80, 2))):
        write_atomically(folder.failure_file(0), sealed(a_failure("6_0", error)))
        given = _next(results, tweets_file, GridJobs([SubmissionDir(folder.path)], []), "data")
        assert (given.time_minutes, given.memory_gb) == lacked


@pytest.mark.parametrize(
    ("state", "log", "failed"),
    [
        ("FAILED", "", True),
        ("COMPLETED", "", False),
        ("CANCELLED", "", False),
        (None, "srun: error: n1: task 0: Exited with exit code 1\n", True),
        (None, "slurmstepd: error: *** JOB 10 ON n1 CANCELLED AT 2026-03-04T11:00:00 ***\n", False),
        (None, "1 of 1 runs completed\n", False),
        (None, None, True),  # it was forgotten before it started, as by a Slurm that lost its state
    ],
)
def test_failed_report_is_missing_unless_cancelled(
    results: Results, state: str | None, log: str | None, failed: bool
) -> None:
    training, report = submitted(results, "train", "7", ["run-0"]), submitted(results, "report", "10", [])
    if log is not None:
        (report.logs / "10_0_log.out").write_text(log)
    queue = [queued(report, None, "None", state)] if state else []
    jobs = GridJobs([training, report], queue)
    assert jobs.lacks_final_job is failed
    assert ("report" in read_grid_status(results, PLAN, jobs).failed_kinds) is failed
    report.mark_cancelled(["0"])
    assert not GridJobs([training, report], queue).lacks_final_job


CLUSTER = GRIDS.parent / "cluster.yaml"


def test_plan_shows_what_varies_and_the_tasks_and_writes_nothing(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, {"model.layers": [1, 2], "training.epochs": 2}), results)
    told = "\n".join(show_plan(results, grid, CLUSTER, verbose=True))
    expected = ["2 of 2 runs would be submitted (2 PLANNED)\n", "\n  model.layers: 1, 2\n", grid.plan.runs[1].run_id]
    expected += [f"\n  all runs: {base}, training.epochs=2\n", "\ntrain: 2 tasks, 1 GPU, 4 cores, 16 GB, 240 min\n"]
    for line in (*expected, "--array=0-1", "--gpus-per-node=1", "--mem=16384M"):
        assert line in told
    assert not [path for path in results.root.rglob("*") if path.is_file()]


def test_runs_on_this_machine_have_one_thread_whatever_their_number_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tweets_file: Path
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("jobs.launch.plan.available_cores", lambda: 6)
    monkeypatch.setattr("sentiment.processes.available_cores", lambda: 6)

    def planned(gpus: str, asked_for: int | None, threads: int | None = None) -> tuple[int, list[int | None]]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
        configs = [small_config(tweets_file, seed=seed, runtime__threads=threads) for seed in (1, 2)]
        (job,) = plan_local_jobs(Launch({ArrayKey(): configs}), runs_at_once(configs, asked_for))
        return job.resources.at_once, [with_threads(config, job).runtime.threads for config in job.configs]

    assert planned("", None) == (6, [1, 1])
    assert planned("", 2) == (2, [1, 1])
    assert planned("", None, threads=4) == (1, [4, 4])
    assert planned("0", None) == (1, [None, None])
    assert planned("0,1", None) == (2, [3, 3])
    assert planned("0,1", 4) == (4, [1, 1])


def test_plan_tells_of_each_source_of_tweets_what_its_own_runs_show(
    base: Path, results: Results, tweets_file: Path, tmp_path: Path
) -> None:
    few = write_tweets(tmp_path / "few.csv", invented_tweets(80))
    grid = load_grid(write_grid(base, {"seed": [1, 2], "data.source": [str(tweets_file), str(few)]}), results)
    for config in grid.configs[::2]:
        prepare_corpus(config.data, results)
    told = [line for line in show_plan(results, grid, None) if line.startswith(("tweets: ", "2 seeds show"))]
    assert [line.partition(" test tweets")[0].rpartition(" ")[2] for line in told[1::2]] == ["94", "9"]
    assert [line.partition(",")[0] for line in told[::2]] == [f"tweets: {tweets_file}", f"tweets: {few}"]


@pytest.mark.parametrize("seeds", [[1], [1, 2]])
def test_plan_of_a_cross_validation_tells_no_power_of_seeds(base: Path, results: Results, seeds: list[int]) -> None:
    grid = load_grid(write_grid(base, {"seed": seeds, "data.folds": [5], "data.fold": [1, 2, 3, 4, 5]}), results)
    told = [line for line in show_plan(results, grid, None) if "seed" in line or "differences" in line]
    (line,) = [line for line in told if not line.startswith("  ")]
    assert line.startswith("which differences these runs can show is not known before the runs, as the spread")


def test_plan_for_this_machine_names_no_job_of_slurm(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, {"seed": [11, 12, 13]}), results)
    assert [*show_plan(results, grid, None, at_once=2)][-1] == "on this machine: 3 runs, at most 2 at a time"


def test_grid_reads_a_users_table_as_training_does(base: Path, results: Results, tmp_path: Path) -> None:
    grid = write_grid(base, {"model.layers": [1, 2]})
    rows = [(text, ("sad", "happy")[label]) for label, text in invented_tweets(80)]
    table = write_tweets(tmp_path / "my tweets.csv", rows, ("tweet text", "mood"))
    arguments = ("submit", grid, "--data", table, "--dry-run", "--verbose", "--results", results.root)
    told = succeed(*arguments)
    assert f"{table.name}: guessed data.columns.label: mood" in told
    assert f"tweets: {table}, not prepared yet, of the classes sad, happy" in told
    assert "seed 1 only: " in told
    run, _ = resolve_with_guesses(read_yaml(base), (), {"data.source": str(table), "model.layers": 2}, "a test")
    assert f"  {run.run_id} PLANNED" in told
    prepare_corpus(run.data, results)
    assert f"tweets: {table}, 80 (40 sad, 40 happy)" in succeed(*arguments, "--set", "seed=[1,2]")


def test_table_whose_first_lines_no_run_can_read_is_not_approved(base: Path, results: Results) -> None:
    grid = write_grid(base, {"seed": [1, 2]})
    no_part = "is not a part; valid are train"
    for change, problem in (("text=nothing", "no column 'nothing'"), ("part=label", no_part)):
        arguments = ("submit", grid, "--set", f"data.columns.{change}", "--results", results.root)
        told = succeed(*arguments, "--dry-run")
        assert "missing inputs, needed before `submit`:\n" in told
        assert problem in told
        assert problem in refused(2, *arguments, "--local")


@pytest.mark.parametrize("grid", ["elmo", "random_sweep"])
def test_dry_run_needs_no_tweets_and_fits_a_page(grid: str, results: Results) -> None:
    told = succeed("submit", grid, "--dry-run", "--results", results.root)
    assert "missing inputs" in told
    assert "fetch them with `sentiment data sentiment140" in told
    assert len(told.splitlines()) <= 26
    assert f"grid {grid!r} cannot be run" in refused(2, "submit", grid, "--local", "--results", results.root)


CONFIG = resolve({}, {}, "a test")
TRAINER = "sentiment/training/trainer.py"
OLDER = {TRAINER: hashlib.sha256(b"older").hexdigest()}
OLD = CodeVersion(git_commit=None, git_dirty=None, files=OLDER, training_files=OLDER)


@pytest.mark.parametrize(
    ("code", "of_plan", "kept"),
    [
        (OLD.id, "", True),
        (None, OLD.id, True),
        (None, "", False),
        ("0123456789abcdef", OLD.id, False),
        ("not submitted", OLD.id, True),
        ("not submitted", "0123456789abcdef", False),
    ],
)
def test_whole_code_is_kept(results: Results, code: str | None, of_plan: str, kept: bool) -> None:
    copy = results.code / OLD.id
    (copy / TRAINER).parent.mkdir(parents=True)
    (copy / TRAINER).write_bytes(b"older")
    write_atomically(copy / "code.json", sealed(OLD))
    run_ids = ["another"] if code == "not submitted" else [CONFIG.run_id]
    jobs = GridJobs([write_job(results, "train", [run_ids], [CONFIG], code=code)], [])
    row = a_row("FAILED", grid=GRID, run_id=CONFIG.run_id)
    assert earlier_codes(results, [row], jobs, PLAN.model_copy(update={"code": of_plan})) == (
        {CONFIG.run_id: OLD.id} if kept else {}
    )


def test_one_run_stands_for_tweets_and_vectors_that_are_not_prepared(tweets_file: Path, results: Results) -> None:
    plain = [small_config(tweets_file, seed=seed) for seed in (1, 2)]
    cased = [small_config(tweets_file, seed=seed, data__text__lowercase=False) for seed in (1, 2)]
    changes: dict[str, Any] = {"embedding__pretrained": "word2vec", "vectors__epochs": 3}
    learned = [small_config(tweets_file, seed=seed, **changes) for seed in (1, 2)]
    differs = small_config(tweets_file, **changes, vectors__seed=2)
    assert unprepared([*plain, *cased, *learned, differs], results) == [plain[0], cased[0], learned[0], differs]
    prepare_corpus(plain[0].data, results)
    assert unprepared(plain, results) == plain[:1]  # its baseline is not fitted
    kind, stop = JOB_KINDS["data"], StopRequest()

    def progress(what: str, _done: int, _total: int | None) -> None:
        if what.startswith("learning"):
            stop.end = 0  # the time is over

    reason = kind.work([learned[0], differs], results, stop, Console(lambda _line: None, progress)).reason
    assert (reason, unprepared([*plain, *learned], results)) == ("deadline", learned[:1])
    assert kind.work([learned[0], differs], results, StopRequest(), Console(lambda _line: None, silent)) is None
    assert unprepared([*plain, *learned, differs], results) == []


def test_bad_table_is_the_failure_of_its_own_runs_unless_there_is_no_other(tweets_file: Path, results: Results) -> None:
    bad = small_config(write_tweets(results.root.parent / "bad.csv", []))
    lines: list[str] = []
    console, work = Console(lines.append, silent), JOB_KINDS["data"].work
    assert work([bad, small_config(tweets_file)], results, StopRequest(), console) is None
    assert lines[0].startswith(f"runs on {bad.data.source} will fail: ")
    assert len([*results.corpora.glob("*/tweets.parquet")]) == 1
    with pytest.raises(DataError):
        work([bad], results, StopRequest(), console)
