"""The jobs that are planned for some runs, and what sbatch is told; nothing here asks a Slurm."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.doctor import examine_slurm
from jobs.grid_jobs import GridJobs
from jobs.plan import WantedRun, plan_jobs
from jobs.slurm.resources import ClusterFile, Resources
from jobs.slurm.sbatch import directives
from jobs.submissions import Submission, new_submission
from sentiment.config import RunConfig
from sentiment.runs.run_dir import Results
from tests.jobs.grid_files import write_yaml
from tests.jobs.submitted import GRID, a_row
from tests.small_runs import small_config


@pytest.fixture(autouse=True)
def _no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def _planned(results: Results, configs: list[RunConfig], file: ClusterFile | None = None) -> list[Submission]:
    runs = [WantedRun(a_row("PLANNED", run_id=config.run_id), config, "code") for config in configs]
    return plan_jobs(runs, results, file or ClusterFile(), GRID, GridJobs((), ()))


def _training(results: Results, tweets: Path, runs: int = 1, **resources: object) -> Submission:
    configs = [small_config(tweets, seed=seed) for seed in range(runs)]
    file = ClusterFile(defaults=Resources.model_validate(resources))
    return next(job for job in _planned(results, configs, file) if job.kind == "train")


def _options(results: Results, part: Submission, after: str | None = None) -> tuple[dict[str, str], str]:
    """What the file for sbatch asks for, by name, and the command."""
    *lines, _, command = directives(new_submission(results, GRID, part, after))
    pairs = [line.removeprefix("#SBATCH --").partition("=") for line in lines if line.startswith("#SBATCH")]
    return {name: value for name, _, value in pairs}, command


def test_training_waits_for_what_it_reads_and_is_followed_by_the_report(results: Results, tweets_file: Path) -> None:
    plain, cached = small_config(tweets_file), small_config(tweets_file, elmo__model="tiny")
    file = ClusterFile(cache=Resources(parallelism=3))
    data, cache, training, report = _planned(results, [plain, cached], file)
    assert (data.kind, data.tasks, data.resources.gpus) == ("data", [[]], 0)
    assert [config.data for config in data.configs] == [plain.data]  # one run for all on the same tweets
    assert (cache.kind, cache.tasks, cache.configs) == ("cache", [[], [], []], [cached])
    assert (training.kind, training.configs, training.parallelism) == ("train", [plain, cached], 2)
    assert (report.kind, report.resources.gpus, report.cluster) == ("report", 0, {"cache": {"parallelism": 3}})
    assert training.cluster == {}  # only the job at the end submits more
    assert "array" not in _options(results, report)[0]


@pytest.mark.parametrize(
    ("asked", "runs", "shares"),
    [
        ({"tasks": 2}, 5, [3, 2]),
        ({"tasks": 9}, 4, [1] * 4),
        ({"at_once": 4}, 9, [3, 3, 3]),
        ({"at_once": 4, "tasks": 2}, 9, [5, 4]),
        ({}, 7, [1] * 7),
        ({}, 9, [2, 2, 1, 1, 1, 1, 1]),
    ],
)
def test_runs_are_dealt_out_to_no_more_tasks_than_asked_for_or_the_site_allows(
    results: Results,
    tweets_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, int],
    runs: int,
    shares: list[int],
) -> None:
    monkeypatch.setattr("jobs.plan.most_tasks", lambda: 7)
    training = _training(results, tweets_file, runs, **asked)
    assert [len(share) for share in training.tasks] == shares
    assert [config.run_id for config in training.configs] == [run for share in training.tasks for run in share]
    assert (len({*(config.run_id for config in training.configs)}), training.parallelism) == (runs, len(shares))


def test_sbatch_is_told_everything(results: Results, tweets_file: Path) -> None:
    part = _training(
        results,
        tweets_file,
        5,
        partition="gpu",
        time_minutes=90,
        memory_gb=1.5,
        gpus=2,
        gpu_type="a100",
        cpus=3,
        parallelism=2,
        sbatch={"reservation": "course"},
        setup=["module load cuda"],
    )
    options, command = _options(results, part, "afterok:9")
    assert (options["array"], options["dependency"]) == ("0-4%2", "afterok:9")
    assert (options["time"], options["mem"], options["gpus-per-node"]) == ("90", "1536M", "a100:2")
    assert (options["partition"], options["reservation"], options["cpus-per-task"]) == ("gpu", "course", "3")
    assert {"requeue", "kill-on-invalid-dep", "open-mode", "output"} <= set(options)
    assert "error" not in options  # one log for all
    words = shlex.split(command)
    assert words[0] == "srun"
    assert "--cpus-per-task=3" in words
    assert [words[-6], words[-2]] == [sys.executable, "jobs.tasks.task"]


@pytest.mark.parametrize("gres", [None, "shard:2", "gpu:1g.10gb:1"])
def test_what_is_not_configured_is_left_to_the_site(results: Results, tweets_file: Path, gres: str | None) -> None:
    asked = {"gres": gres} if gres else {"gpus": 0}
    options, _ = _options(results, _training(results, tweets_file, **asked))
    assert options.get("gres") == gres
    assert not {"partition", "account", "qos", "mem", "gpus-per-node", "wckey", "dependency"} & set(options)


def test_paths_with_blanks_and_quotes_stay_one_word(tmp_path: Path, tweets_file: Path) -> None:
    results = Results(tmp_path / "my $HOME's `results`")
    _, command = _options(results, _training(results, tweets_file))
    assert shlex.split(command)[-1].startswith(str(results.slurm / GRID))


@pytest.mark.parametrize(("minutes", "seconds"), [(240, 120), (4, 60)])
def test_warning_comes_early_and_never_in_the_first_three_quarters_of_the_time(
    results: Results, tweets_file: Path, minutes: int, seconds: int
) -> None:
    options, _ = _options(results, _training(results, tweets_file, time_minutes=minutes))
    assert options["signal"] == f"USR2@{seconds}"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a shell finds its programs, and a test puts others."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return programs


def test_warning_ends_no_task_that_has_not_set_its_handlers_yet(
    results: Results, tweets_file: Path, shell: Path
) -> None:
    words = shlex.split(_options(results, _training(results, tweets_file))[1])
    guard = words[words.index("sh") : words.index("-u") - 1]
    done = subprocess.run([*guard, "sh", "-c", "kill -USR1 $$; kill -USR2 $$; echo lives"], capture_output=True)
    assert done.stdout == b"lives\n"


@pytest.mark.parametrize("code", [0, 1, 4, 5, 137])
def test_task_in_a_container_is_requeued_outside_of_it(
    results: Results, tweets_file: Path, shell: Path, code: int, tmp_path: Path
) -> None:
    container = {"image": "my torch.sif", "python": "/opt/python", "options": ["--bind", "/scratch"]}
    _, command = _options(results, _training(results, tweets_file, container=container))
    (shell / "singularity").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/inside"; exit {code}\n')
    (shell / "outside").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/outside"; exit 0\n')
    for program in shell.iterdir():
        program.chmod(0o755)
    task = command[command.index("sh -c") :].replace(sys.executable, "outside")
    done = subprocess.run(["sh", "-c", task], capture_output=True, text=True)
    inside = (tmp_path / "inside").read_text().splitlines()
    assert inside[:2] == ["exec", "--nv"]
    assert "--bind" in inside
    assert inside[inside.index("/scratch") + 1 : inside.index("/scratch") + 4] == ["my torch.sif", "/opt/python", "-u"]
    assert (inside[-1], inside[-2].startswith(str(results.slurm))) == ("--inside", True)
    again = (tmp_path / "outside").read_text().splitlines() if (tmp_path / "outside").exists() else []
    assert (done.returncode, again[-2:]) == ((0, ["--requeue", str(code)]) if code in (4, 5) else (code, []))


def test_doctor_tells_that_an_image_is_missing(tmp_path: Path) -> None:
    cluster = write_yaml(tmp_path / "cluster.yaml", {"defaults": {"container": str(tmp_path / "torch.sif")}})
    found = [one for one in examine_slurm(cluster, tmp_path) if one.level == "problem"]
    assert {one.topic for one in found} == {f"cluster.yaml {name}" for name in ClusterFile().sections()} - {
        "cluster.yaml report"  # which runs outside of it
    }
    assert "there is no image" in found[0].text
