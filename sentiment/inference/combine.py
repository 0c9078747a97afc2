"""A combination of runs as a run of its own: the mean of their networks predicts, and is reported like any run."""

import os
import socket
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.config import CombinationConfig, RunConfig
from sentiment.console import Say
from sentiment.data.corpus.corpus import Corpus, open_corpus
from sentiment.errors import UsageError
from sentiment.files import fingerprint, sha256_of
from sentiment.inference.models import load_baseline, load_network, weights_of_members
from sentiment.models.calibration import Probabilities, as_used, calibrated, fit_temperatures
from sentiment.models.check_list import check
from sentiment.models.lexicon import corpus_texts
from sentiment.models.text_model import MeanPredictor, TextModel, models_of_a_run
from sentiment.runs.code_version import environment_hash, running_code
from sentiment.runs.records import (
    BOTH,
    NETWORK,
    PREDICTION_COLUMNS,
    Attempt,
    CheckScore,
    Metrics,
    Part,
    Recommendation,
    Result,
    RunRecord,
    timestamp,
)
from sentiment.runs.run_dir import Results, RunDir, check_file, read_whole
from sentiment.training.classifying import judge_overfit, measure
from sentiment.training.experiment import recommend
from sentiment.training.preparing import measured_rows
from sentiment.training.resuming import versions

_CHUNK = 4096
_Scores = dict[str, dict[Part, Metrics]]


def combine_runs(run_dirs: Sequence[RunDir], say: Say) -> RunDir:
    """Write the directory of a combination, with the scores of the mean of the runs' probabilities.

    The runs must have the same validation and test tweets, cleaned alike, however they were trained, and lie in one
    folder of results; the configuration names them, and nothing of them is copied. The first one's baseline stands
    beside the combination.

    Raises:
        UsageError: the runs cannot be combined.
        SentimentError: a run's files are missing or damaged.
    """
    members = [_Member(run_dir) for run_dir in run_dirs]
    results = _common_results(members)
    config = members[0].run.config.model_copy(
        update={
            "combination": CombinationConfig(members=tuple(member.place for member in members)),
            "description": f"mean of {len(members)} runs",
        }
    )
    target = results.run_dir(config.run_id)
    if target.completed:
        say("is completed already; nothing to combine")
        return target
    say(f"mean of {len(members)} runs: {', '.join(member.place for member in members)}")
    target.create(config)
    table, temperatures = _mean_table(members)
    target.write(target.predictions_file, lambda file: pq.write_table(table, file))
    baseline_file = members[0].run_dir.baseline_file
    target.write(target.baseline_file, lambda file: file.write(baseline_file.read_bytes()))
    target.write_record(_record(config, members[0].record))
    networks = tuple(load_network(member.run_dir) for member in members)
    network = MeanPredictor(NETWORK, networks, temperatures["network"])
    models = models_of_a_run(network, load_baseline(members[0].run_dir), temperatures["both"])
    scores = _scores(models, temperatures["both"], members, table)
    checked = {model.name: check(model) for model in models}
    target.write_result(_result(target, members, scores, temperatures, checked))
    return target


class _Member:
    """A run to combine, which is completed and whole."""

    def __init__(self, run_dir: RunDir) -> None:
        self.run_dir, self.run = run_dir, read_whole(run_dir)
        if self.run.result is None or self.run.record is None:
            raise UsageError(f"{run_dir.path}: is not completed yet; only completed runs can be combined")
        if self.run.config.combination is not None:
            raise UsageError(f"{run_dir.path}: is a combination itself; name its members instead")
        load_baseline(run_dir)
        check_file(run_dir.predictions_file, self.run.result)
        self.result, self.record = self.run.result, self.run.record
        self.place = f"{run_dir.grid}/{run_dir.path.resolve().name}"
        self.table = pq.read_table(run_dir.predictions_file)

    @cached_property
    def corpus(self) -> Corpus:
        """Its tweets."""
        return open_corpus(self.run_dir.results.corpus_dir(self.record.data_fingerprint))

    def tested_as(self, other: "_Member") -> bool:
        """Whether another run was chosen by and tested on the same tweets, in the same order."""
        same_rows = np.array_equal(self._keys(), other._keys()) and self._parts() == other._parts()
        return same_rows and bool(self.table["label"].equals(other.table["label"]))

    def _keys(self) -> Any:
        return self.corpus.keys[self.table["row"].to_numpy()]

    def _parts(self) -> Any:
        return self.table["part"].cast(pa.string()).to_pylist()


def _common_results(members: list[_Member]) -> Results:
    if len({member.place for member in members}) < 2:
        raise UsageError("combine takes two runs or more, each of them once")
    first = members[0]
    for member in members[1:]:
        if member.run_dir.results != first.run_dir.results:
            raise UsageError(f"{member.run_dir.path}: lies in another folder of results than {first.run_dir.path}")
        if not member.tested_as(first):
            raise UsageError(f"{member.run_dir.path}: has other validation or test tweets than {first.run_dir.path}")
        if member.run.config.data.text != first.run.config.data.text:
            raise UsageError(f"{member.run_dir.path}: cleans tweets otherwise (data.text) than {first.run_dir.path}")
    return first.run_dir.results


def _mean_table(members: list[_Member]) -> tuple[Any, dict[Recommendation, float]]:
    """The predictions of the first member with the mean of all scores, calibrated, and the temperatures."""
    table = members[0].table
    mean = np.mean([_column(member.table, "score") for member in members], axis=0)
    baseline, of_validation = _column(table, "baseline"), _rows_of(table, "validation")
    labels = table["label"].to_numpy()[of_validation]
    temperatures = fit_temperatures(labels, mean[of_validation], baseline[of_validation])
    said = as_used(mean, baseline, temperatures)
    for column, model in PREDICTION_COLUMNS.items():
        place = table.column_names.index(column)
        table = table.set_column(place, column, pa.array(said[model].astype(np.float32)))
    return table, temperatures | {"baseline": members[0].result.temperatures["baseline"]}


def _column(table: Any, name: str) -> Probabilities:
    values: Probabilities = table[name].to_numpy().astype(np.float64)
    return values


def _rows_of(table: Any, part: Part) -> Any:
    return np.array(table["part"].cast(pa.string()).to_pylist()) == part


def _scores(models: list[TextModel], temperature: float, members: list[_Member], table: Any) -> _Scores:
    """Metrics of the mean, of the baselines and of the mean with the baseline, by part; `train` on the usual sample of
    the tweets that all were trained on.

    Args:
        temperature: of the mean with the baseline.
    """
    corpus = members[0].corpus
    of_train = [member.corpus.keys[member.corpus.rows("train")] for member in members]
    common = np.logical_and.reduce([np.isin(of_train[0], keys) for keys in of_train])
    own = {"train": corpus.rows("train")[common], "validation": corpus.rows("validation")}
    rows = measured_rows(own)["train"]
    column = corpus_texts(corpus)
    texts = [column[row].as_py() for row in rows]
    labels: dict[Part, Any] = {"train": np.asarray(corpus.labels)[rows]}
    network, baseline, lexicon = (_read(model, texts) for model in models if model.name != BOTH)
    both = calibrated((network + baseline) / 2, temperature)
    probabilities: dict[Part, list[Probabilities]] = {"train": [network, baseline, both, lexicon]}
    for part in corpus.part_names[1:]:
        of_part = _rows_of(table, part)
        labels[part] = table["label"].to_numpy()[of_part]
        probabilities[part] = [_column(table, name)[of_part] for name in (*PREDICTION_COLUMNS, "lexicon")]
    found: _Scores = {name: {} for name in ("metrics", "baseline", "combination", "lexicon")}
    for part, said in probabilities.items():
        for of, values in zip(found.values(), said, strict=True):
            of[part] = measure(labels[part], values)
    return found


def _read(model: TextModel, texts: list[str]) -> Probabilities:
    chunks = [texts[first : first + _CHUNK] for first in range(0, len(texts), _CHUNK)]
    return np.concatenate([model.read(chunk).probabilities for chunk in chunks])


def _result(
    target: RunDir,
    members: list[_Member],
    scores: _Scores,
    temperatures: dict[Recommendation, float],
    checked: dict[str, dict[str, CheckScore]],
) -> Result:
    """What is the members' together is summed; of their epochs the largest counts."""
    results, config = [member.result for member in members], members[0].run.config
    metrics = scores["metrics"]
    gap = config.training.overfit_gap
    epochs = max(result.epochs for result in results)
    return Result(
        run_id=target.read_config().run_id,
        stopped_by="all epochs",
        epochs=epochs,
        steps=sum(result.steps for result in results),
        best_epoch=max(result.best_epoch for result in results),
        parameters=sum(result.parameters for result in results),
        vocabulary_size=max(result.vocabulary_size for result in results),
        metrics=metrics,
        baseline=scores["baseline"],
        combination=scores["combination"],
        lexicon=scores["lexicon"],
        recommended=recommend(*(scores[of]["validation"] for of in ("metrics", "baseline", "combination"))),
        temperatures=temperatures,
        check_list=checked,
        baseline_settings=results[0].baseline_settings,
        overfit=judge_overfit(metrics["train"].accuracy, metrics["validation"].accuracy, gap),
        seconds_per_epoch=sum(result.seconds_trained for result in results) / epochs,
        seconds_trained=sum(result.seconds_trained for result in results),
        checkpoint_seconds=sum(result.checkpoint_seconds for result in results),
        weights_sha256=weights_of_members([result.weights_sha256 for result in results]),
        metrics_sha256=fingerprint([result.metrics_sha256 for result in results]),
        files_sha256={path.name: sha256_of(path) for path in target.hashed_files if path.exists()},
    )


def _record(config: RunConfig, first: RunRecord) -> RunRecord:
    code, now = running_code(), timestamp()
    attempt = Attempt(
        host=socket.gethostname(),
        pid=os.getpid(),
        job=None,
        restart_count=0,
        code=code.training,
        git_commit=code.git_commit,
        git_dirty=code.git_dirty,
        environment=environment_hash(),
        device="cpu",
        threads=1,
        first_step=0,
        last_step=0,
        start=now,
        end=now,
        reason="completed",
    )
    return RunRecord(
        run_id=config.run_id,
        config_fingerprint=config.fingerprint(),
        data_fingerprint=first.data_fingerprint,
        dataset=first.dataset,
        elmo=first.elmo,
        git_commit=code.git_commit,
        git_dirty=code.git_dirty,
        versions=versions(),
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        attempts=[attempt],
    )
