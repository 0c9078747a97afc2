"""The invented study that gold files and the browser see: every section, and runs in every state."""

from itertools import product
from typing import Any

from sentiment.runs.records import Failure
from sentiment.runs.run_dir import Results
from tests.report.made_up import PARTS, Study, attempt, new_record


def write_study(results: Results, trials: int = 6, test_tweets: int = PARTS["test"]) -> Study:
    """Write all grids.

    Args:
        trials: of a random search.
        test_tweets: that each run has predictions of.
    """
    study = Study(results, PARTS | {"test": test_tweets})
    _write_rnn(study)
    _write_cleaning(study)
    _write_search(study, trials)
    _write_attention(study)
    _write_elmo(study)
    return study


def _combinations(parameters: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(parameters, values, strict=True)) for values in product(*parameters.values())]


def _write_rnn(study: Study) -> None:
    """Two cells and widths; of its runs one failed, one was preempted, one died, one has never begun."""
    parameters: dict[str, list[Any]] = {"model.cell": ["lstm", "gru"], "model.hidden_size": [16, 64], "seed": [1, 2, 3]}
    configs = study.write_grid("rnn", "Which cell and width suit tweets?", parameters, _combinations(parameters))
    *completed, failed, stopped, died, _missing = configs
    for config in completed:
        study.complete(config, "rnn", skill=1.0 + 0.01 * config.model.hidden_size)
    for config, changes in (
        (failed, {"reason": "failed", "detail": "DivergedError: the loss is not a number"}),
        (stopped, {"reason": "signal", "detail": "SIGTERM", "last_step": 20, "restart_count": 1}),
        (died, {"reason": None, "end": None, "last_step": None}),
    ):
        run_dir = study.run_dir(config, "rnn")
        run_dir.create(config)
        run_dir.write_record(new_record(config, attempts=[attempt(**changes)]))
    failure = Failure(
        job="41_8", time="2026-01-01T10:02:00+00:00", error="DivergedError", reason="the loss ran away", traceback=""
    )
    study.run_dir(failed, "rnn").write_record(failure)


def _write_cleaning(study: Study) -> None:
    parameters: dict[str, list[Any]] = {"data.text.stop_words": ["none", "keep_negations", "all"], "seed": [1, 2]}
    question = "What do stop words and negations contribute?"
    skills = {"none": 1.2, "keep_negations": 1.1, "all": 0.7}
    emptied = {"none": 0, "keep_negations": 2, "all": 5}
    for config in study.write_grid("stop_words", question, parameters, _combinations(parameters)):
        stop_words = config.data.text.stop_words
        linear = 0.75 * skills[stop_words]
        study.complete(config, "stop_words", skill=skills[stop_words], emptied=emptied[stop_words], linear=linear)


def _write_search(study: Study, trials: int) -> None:
    parameters: dict[str, list[Any]] = {
        "training.learning_rate": [0.0001, 0.001, 0.01],
        "model.dropout": [0.0, 0.1, 0.2, 0.3],
        "model.cell": ["lstm", "gru"],
        "model.hidden_size": [8, 24],
    }
    runs = [one for number, one in enumerate(_combinations(parameters)) if number % (48 // trials) == 0][:trials]
    for config in study.write_grid("sweep", "Which settings are best?", parameters, runs, method="random"):
        study.complete(config, "sweep", skill=0.5 + 60 * config.training.learning_rate)


def _write_attention(study: Study) -> None:
    parameters: dict[str, list[Any]] = {"model.pooling": ["last", "attention"], "seed": [1, 2]}
    question = "Does <b>attention</b> learn faster | sooner?"
    for config in study.write_grid("attention", question, parameters, _combinations(parameters)):
        record = {"attempts": [attempt(last_step=20, reason="deadline"), attempt(first_step=15, restart_count=1)]}
        study.complete(config, "attention", skill=1.3 if config.model.pooling == "last" else 1.4, **record)


def _write_elmo(study: Study) -> None:
    parameters: dict[str, list[Any]] = {"elmo.model": ["small", "original-5.5b", "tiny"], "seed": [1, 2]}
    gpu = attempt(device="NVIDIA H100 80GB HBM3")
    for config in study.write_grid("elmo", "Is the larger ELMo worth it?", parameters, _combinations(parameters)):
        assert config.elmo
        skill = {"small": 1.6, "original-5.5b": 1.9, "tiny": 2.5}[config.elmo.model]
        study.complete(config, "elmo", skill=skill, attempts=[gpu])
