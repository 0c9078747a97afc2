"""One damage at a time: what `status`, `report`, `evaluate` and `predict` answer, compared with the whole study."""

import os
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from sentiment.errors import SentimentError
from sentiment.runs.run_dir import RunDir, short_id
from tests.commands import invoke
from tests.damage.damages import choose_damage, truncate
from tests.damage.study import Study
from tests.small_runs import Experiment

RESUME = "resume"
# Records that a user may delete, or that are deleted when they are out of date: without them nothing is damaged.
_MAY_BE_DELETED = ("teacher.json", "cancelled.json", "failure.json", "start.json")
# What names a file: the file itself, its folder, and the folder above, such as a run and its grid.
_LEVELS = 3
_TIMES = re.compile(r"\d+ (s|min|h|d)\b")


@dataclass(frozen=True)
class Answer:
    """The exit code and output of a command; `crash` is the exception that it let through."""

    code: int
    output: str
    crash: str = ""


def _answer(*arguments: object) -> Answer:
    done = invoke(*arguments)
    crash = "" if isinstance(done.exception, SystemExit | None) else repr(done.exception)[:300]
    output = re.sub(" +", " ", _TIMES.sub("_", done.output))  # a longer time makes its column wider
    return Answer(done.exit_code, output, crash)


def ask(study: Study, runs: list[str]) -> dict[str, Answer]:
    """The answers of all commands; the report's with its pages."""
    root = study.results.root
    answers = {"status": _answer("status", "--all", "--results", root)}
    report = _answer("report", "--results", root)
    pages = [study.results.report / name for name in ("report.md", "report.html")]
    text = "".join(page.read_text() for page in pages if page.exists())
    answers["report"] = Answer(report.code, report.output + _TIMES.sub("_", text), report.crash)
    for run in runs:
        path = study.run_dir(run).path
        answers[f"evaluate {run}"] = _answer("evaluate", path)
        answers[f"predict {run}"] = _answer("predict", path, "a lovely cake", "so sad", "--with", "both")
    return answers


def resume(study: Study) -> Answer:
    """Resume the run that was stopped: what was said of checkpoints, and last the digest of the completed run."""
    config = RunDir(study.pristine / "runs" / study.stopped).read_config()
    run = Experiment(config, study.results, study.run_dir(study.stopped))
    try:
        digest = run.complete()
    except SentimentError as error:
        return Answer(1, str(error))
    except Exception as error:
        return Answer(1, "", repr(error)[:300])
    return Answer(0, "\n".join([*(line for line in run.said if ".ckpt" in line), str(digest)]))


def judge(command: str, file: Path, answer: Answer, good: Answer) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if answer.crash:
        return "traceback"
    if answer.code not in (0, 1, 2, 3, 4):
        return "exit code"
    if answer == good:
        return ""
    if command == RESUME and answer.code == 0 and answer.output.splitlines()[-1] != good.output.splitlines()[-1]:
        return "other bits"
    folders = file.parts[-_LEVELS:-1]
    names = [file.name, *folders, *map(short_id, folders)]
    new = "\n".join({*answer.output.splitlines()} - {*good.output.splitlines()})
    return "" if any(name in new for name in names) else "unnamed"


def wrong_answers(study: Study, good: Mapping[str, Answer], file: Path) -> dict[str, tuple[str, Answer]]:
    """What is wrong, by command, with answers about the run of a damaged file, else about a completed one."""
    run = "/".join(file.parts[1:3])
    of_run = file.parts[0] == "runs" and f"evaluate {run}" in good
    answers = ask(study, [run if of_run else study.completed])
    if run == study.stopped:
        answers[RESUME] = resume(study)
    verdicts = {command: (judge(command, file, answer, good[command]), answer) for command, answer in answers.items()}
    return {command: verdict for command, verdict in verdicts.items() if verdict[0]}


def damage_once(study: Study, number: int) -> tuple[str, Path]:
    """Damage one file of a renewed study, by random numbers: how, and which."""
    rng = random.Random(f"1-{number}")
    study.renew()
    files = study.files()
    kind = rng.choice(sorted({_kind(file) for file in files}))
    file = rng.choice([file for file in files if _kind(file) == kind])
    name, damage = choose_damage(file, rng)
    if name == "deleted" and (file.name in _MAY_BE_DELETED or "lock-" in file.name):
        name, damage = "truncated", truncate
    damage(study.results.root / file, rng)
    return name, file


def _kind(file: Path) -> str:
    """Files of one kind are chosen as often as those of another, however many there are."""
    return re.sub(r"[0-9a-f]{8,}|\d+", "N", f"{file.parts[0]}/{file.name}")


@contextmanager
def quick_and_without_slurm() -> Iterator[None]:
    """Find no Slurm on this machine, and draw no figures, which takes most of a report's time."""
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>'
    environ = {"PATH": "/nonexistent", "COLUMNS": "160"}
    with patch.dict(os.environ, environ), patch("report.render.charts.draw", lambda *_, **__: drawing):
        yield


def good_answers(study: Study) -> dict[str, Answer]:
    """The answers to the whole study."""
    runs = sorted("/".join(path.parts[-3:-1]) for path in study.results.runs.glob("*/*/config.json"))
    return ask(study, runs) | {RESUME: resume(study)}
