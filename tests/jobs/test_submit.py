"""Parts of a chain, and what sbatch is told; nothing here asks a Slurm."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs.job_kinds import JOB_KINDS, KindName
from jobs.slurm.chain import ResourceGroup, describe, plan_chain
from jobs.slurm.resources import ClusterFile, Resources
from jobs.slurm.sbatch import directives
from jobs.slurm.submissions import Submission
from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results

SERVICES = ClusterFile().service_resources()


def _configs(count: int, **changes: object) -> list[RunConfig]:
    return [resolve({}, {"seed": seed, **changes}, "a test") for seed in range(count)]


def _parts(
    configs: list[RunConfig],
    most_tasks: int = 1000,
    cache: Resources | None = None,
    unprepared: Sequence[RunConfig] = (),
    **asked: int,
) -> list[Submission]:
    file = ClusterFile(data=Resources(gpus=0, cpus=7), cache=cache or Resources(), report=Resources(gpus=0))
    needed: dict[KindName, list[RunConfig]] = {"report": []}
    needed |= {"data": list(unprepared)} if unprepared else {}
    cached = JOB_KINDS["cache"].needed_for(configs, Results(Path("nowhere")))
    needed |= {"cache": cached} if cached else {}
    return plan_chain([ResourceGroup(configs, Resources(**asked))], needed, file.service_resources(), most_tasks)


def test_training_is_followed_by_the_report() -> None:
    training, report = _parts(_configs(3))
    assert (training.kind, len(training.tasks), training.parallelism) == ("train", 3, 3)
    assert (report.kind, report.resources.gpus) == ("report", 0)


def test_runs_with_cached_vectors_wait_for_them() -> None:
    configs = [*_configs(2, **{"elmo.model": "tiny"}), *_configs(2, **{"elmo.model": "tiny", "elmo.cache": "off"})]
    cache, training, _ = _parts([*configs, *_configs(1)], cache=Resources(parallelism=3))
    assert (cache.kind, cache.tasks, cache.configs) == ("cache", [[], [], []], configs[:2])
    assert len(training.tasks) == 5


def test_tweets_that_are_not_prepared_come_first_and_need_no_gpu() -> None:
    configs = _configs(3)
    data, training, _ = _parts(configs, unprepared=configs[:1])
    assert (data.kind, data.tasks, data.configs) == ("data", [[]], configs[:1])
    assert (data.resources.gpus, data.resources.cpus) == (0, 7)
    assert training.configs == configs


@pytest.mark.parametrize(
    ("runs", "most", "parallelism", "tasks", "each"), [(10, 4, 6, [4, 4, 2], 2), (10, 4, 1, [4, 4, 2], 1)]
)
def test_arrays_above_the_sites_limit_are_split_and_share_the_parallelism(
    runs: int, most: int, parallelism: int, tasks: list[int], each: int
) -> None:
    configs = _configs(runs)
    *training, _ = _parts(configs, most, parallelism=parallelism)
    assert [len(part.tasks) for part in training] == tasks
    assert {part.parallelism for part in training} == {each}
    assert [run for part in training for task in part.tasks for run in task] == [config.run_id for config in configs]
    assert [config for part in training for config in part.configs] == configs


def _options(results: Results, part: Submission, after: str | None = None) -> tuple[dict[str, str], str]:
    """What the file for sbatch asks for, by name, and the command."""
    *lines, _, command = directives(describe(results, "g", part, after))
    pairs = [line.removeprefix("#SBATCH --").partition("=") for line in lines if line.startswith("#SBATCH")]
    return {name: value for name, _, value in pairs}, command


def test_sbatch_is_told_everything(tmp_path: Path) -> None:
    asked = Resources(
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
    part, _ = plan_chain([ResourceGroup(_configs(5), asked)], {"report": []}, SERVICES, 1000)
    options, command = _options(Results(tmp_path), part, "afterok:9")
    assert options["array"] == "0-4%2"
    assert options["dependency"] == "afterok:9"
    assert (options["time"], options["mem"], options["gpus-per-node"]) == ("90", "1536M", "a100:2")
    assert (options["partition"], options["reservation"], options["cpus-per-task"]) == ("gpu", "course", "3")
    assert {"requeue", "kill-on-invalid-dep", "open-mode", "output"} <= set(options)
    assert "error" not in options  # one log for all
    words = shlex.split(command)
    assert words[0] == "srun"
    assert "--cpus-per-task=3" in words
    assert [words[-7], words[-2]] == [sys.executable, "jobs.tasks.slurm_task"]


def test_what_is_not_configured_is_left_to_the_site(tmp_path: Path) -> None:
    options, _ = _options(Results(tmp_path), _parts(_configs(1), gpus=0)[0])
    assert not {"partition", "account", "qos", "mem", "constraint", "gpus-per-node", "wckey", "dependency"} & set(
        options
    )


@pytest.mark.parametrize("gres", ["shard:2", "gpu:1g.10gb:1"])
def test_a_part_of_a_gpu_is_asked_for_instead_of_a_whole_one(tmp_path: Path, gres: str) -> None:
    part, _ = plan_chain([ResourceGroup(_configs(1), Resources(gres=gres))], {"report": []}, SERVICES, 1000)
    options, _ = _options(Results(tmp_path), part)
    assert options["gres"] == gres
    assert "gpus-per-node" not in options


def test_report_is_no_array(tmp_path: Path) -> None:
    options, command = _options(Results(tmp_path), _parts(_configs(1))[1])
    assert "array" not in options
    assert " jobs.tasks.slurm_task" in command


def test_only_the_job_that_ends_the_grid_tells_somebody() -> None:
    groups = [ResourceGroup(_configs(1), Resources())]
    training, report = plan_chain(groups, {"report": []}, SERVICES, 1000, {"notify": ["mail", "me"]})
    assert (training.cluster, report.cluster) == ({}, {"notify": ["mail", "me"]})


def test_paths_with_blanks_and_quotes_stay_one_word(tmp_path: Path) -> None:
    _, command = _options(Results(tmp_path / "my $HOME's `results`"), _parts(_configs(1))[0])
    assert shlex.split(command)[-1].startswith(str(tmp_path / "my $HOME's `results`" / "slurm" / "g"))


@pytest.mark.parametrize(
    ("saves", "minutes", "seconds"),
    [([], 240, 120), ([0.1, 2.2], 240, 65), ([400.0], 240, 860), ([400.0], 4, 60)],
)
def test_warning_comes_early_enough_for_the_slowest_saves_measured(
    saves: list[float], minutes: int, seconds: int, tmp_path: Path
) -> None:
    """Slurm may be a minute early, and never warns in the first three quarters of the time."""
    run_dir = Results(tmp_path).run_dir("some-run", "g")
    run_dir.path.mkdir(parents=True)
    run_dir.timings_file.write_text("".join(f'{{"kind": "save", "seconds": {one}}}\n' for one in saves))
    options, _ = _options(Results(tmp_path), _parts(_configs(1), time_minutes=minutes)[0])
    assert options["signal"] == f"USR2@{seconds}"
