"""Training a language model: its task, and its run from the tweets to the model's files."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sentiment.config import (
    EarlyStoppingConfig,
    ElmoConfig,
    PretrainingConfig,
    RunConfig,
    TrackingConfig,
    TrainingConfig,
)
from sentiment.console import Console
from sentiment.data.batches import EVALUATION_TOKENS, Batch, EpochPlan
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.data.vocabulary import TrainingText, gather_text, whole_training_part
from sentiment.elmo.files import options_bytes, weights_bytes
from sentiment.elmo.language_model import DirectedTweets, LanguageModel, encoder_weights
from sentiment.elmo.models import PretrainingRequest, pretraining_request
from sentiment.elmo.products import choose_library
from sentiment.errors import DataError
from sentiment.files import fingerprint, sha256_of
from sentiment.models.network import evaluation_mode
from sentiment.runs.attempts import AttemptFolder, patient_lock
from sentiment.runs.code_version import running_code
from sentiment.runs.pretrained import PretrainedCard, PretrainedDir, perplexity, read_points
from sentiment.runs.run_dir import Results
from sentiment.training.checkpoint import Checkpoints
from sentiment.training.stop import RunContext, Stop, StoppedError, StopRequest
from sentiment.training.trainer import Evaluation, Trainer, begin_attempt, finish_attempt, resumed_trainer

# What is predicted besides words: both marks, and any word that is too rare.
_SPECIAL = 3
_MARKS, _UNKNOWN = (0, 1), 2
_LARGEST_SHARE = 10
# The logits of all predicted words are there at once.
_MOST_TOKENS = EVALUATION_TOKENS // 4


class LanguageText:
    """What a language model learns from, and what its perplexity is measured on.

    Attributes:
        rows: tweets to learn from.
        held_out: others, of the corpus' training part.
        words: (types,): the number of each in the vocabulary that is predicted; the most frequent ones come first.
        vocabulary: how many words are predicted, with both marks and the unknown one.
        tokens: that an epoch reads.
        unknown: the share of the held-out tweets' tokens that are predicted as unknown.

    Raises:
        DataError: too little is left.
    """

    def __init__(self, text: TrainingText, corpus: Corpus, settings: PretrainingConfig) -> None:
        lengths = np.diff(text.offsets)
        # The corpus' own tweets come first; of other text it is not known how alike it is.
        own = len(corpus.rows("train"))
        order = np.random.default_rng(settings.seed).permutation(np.flatnonzero(lengths[:own]))
        self.text = text
        self.held_out = np.sort(order[: min(settings.held_out, len(order) // _LARGEST_SHARE)])
        self.rows = np.setdiff1d(np.flatnonzero(lengths), self.held_out)
        counts = np.bincount(text.token_ids[_within(self.rows, lengths)], minlength=len(text.types))
        frequent = [number for number in range(len(text.types)) if counts[number] >= settings.min_count]
        if not len(self.held_out) or not frequent:
            raise DataError(
                f"{corpus.path}: {len(order):,} training tweets are too few for a language model: a tenth of them is "
                f"held out, and a token has to occur {settings.min_count:,} times in the others (pretraining.min_count)"
            )
        frequent.sort(key=lambda number: (-counts[number], text.types[number]))
        kept = frequent[: settings.max_words - _SPECIAL]
        self.words = np.full(len(text.types), _UNKNOWN, np.int64)
        self.words[kept] = np.arange(len(kept)) + _SPECIAL
        self.vocabulary = len(kept) + _SPECIAL
        self.tokens = int(lengths[self.rows].sum())
        found = self.words[text.token_ids[_within(self.held_out, lengths)]]
        self.unknown = float((found == _UNKNOWN).mean())


def _within(rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(tokens,): whether they belong to one of the tweets."""
    within: npt.NDArray[np.bool_] = np.repeat(np.isin(np.arange(len(lengths)), rows), lengths)
    return within


@dataclass(frozen=True)
class HeldOutLoss:
    """Mean negative logarithms of the probabilities of words, in nats; perplexities are e to the power of them."""

    words: int
    forward: float
    backward: float

    @property
    def loss(self) -> float:
        """The mean of both."""
        return (self.forward + self.backward) / 2


class LanguageTask:
    """A language model, on a device, and the text that it is trained on; see `Task`."""

    section = "pretraining"

    def __init__(self, config: RunConfig, model: LanguageModel, text: LanguageText, device: torch.device) -> None:
        self.model, self.text, self.device, self._config = model, text, device, config
        whole = text.text
        self._tweets = DirectedTweets(whole.types, whole.token_ids, whole.offsets, text.words, _MARKS, device)
        self._epoch = 0

    def batches(self, epoch: int) -> EpochPlan:
        self._epoch = epoch
        return self._tweets.store.epoch(self.text.rows, self._config.training.batch_size, self._config.seed, epoch)

    def loss(self, batch: Batch) -> tuple[torch.Tensor, None]:
        forward, backward = self.model(self._tweets.directed(batch))
        return (forward.mean() + backward.mean()) / 2, None

    def evaluate(self, check: Callable[[], None]) -> Evaluation:
        """Called at the end of the epoch that `batches` gave last."""
        found = self.measure(check)
        if not math.isfinite(found.loss):
            raise FloatingPointError("the perplexity of the held-out tweets is not a number")
        tokens = self.text.tokens * (self._epoch + 1)
        row = {"n": found.words, "loss": found.loss, "forward": found.forward, "backward": found.backward}
        forward, backward = perplexity(found.forward), perplexity(found.backward)
        summary = (
            f"{tokens:,} tokens read   perplexity of held-out tweets {forward:.1f} forward, {backward:.1f} backward"
        )
        return Evaluation({"tokens": tokens, "held_out": row}, found, summary)

    def measure(self, check: Callable[[], None]) -> HeldOutLoss:
        """How surprising the held-out tweets are, in both directions; `check` is called between batches."""
        words, sums = 0, [0.0, 0.0]
        with evaluation_mode(self.model):
            for batch in self._tweets.store.in_order_of_length(self.text.held_out, _MOST_TOKENS):
                check()
                both = self.model(self._tweets.directed(batch))
                words += len(both[0])
                sums = [so_far + one.double().sum().item() for so_far, one in zip(sums, both, strict=True)]
        return HeldOutLoss(words, sums[0] / words, sums[1] / words)


_LIBRARY = "library of matrix products"


def run_pretraining(configs: Iterable[RunConfig], results: Results, stop: StopRequest, console: Console) -> Stop | None:
    """Train the language models that these runs ask for, each once; complete ones are left as they are.

    Of several processes that ask for the same one trains it, and the others wait.

    Returns:
        None if all are complete, else the reason to stop; the same call then resumes.

    Raises:
        SentimentError: anything that a user can mend; everything that was saved before stays valid.
        OSError: the model cannot be written, on a full disk for example; likewise.
    """
    told = set()
    for config in configs:
        request = pretraining_request(config, results)
        if request is None or request.fingerprint in told:
            continue
        told.add(request.fingerprint)
        run = RunContext(_as_run(request, config), results, request.run_dir(results), stop, console)
        epochs, stop.epochs = stop.epochs, None  # it is no trial of a search, and ends at no rung
        try:
            reason = _run_one(run, request)
        except StoppedError as stopped:
            return stopped.stop
        finally:
            stop.epochs = epochs
        if reason:
            return reason
        if card := request.run_dir(results).read_card():
            console.say("\n".join([*card.render_lines(), f"  in {request.run_dir(results).path}"]))
    return None


def _as_run(request: PretrainingRequest, config: RunConfig) -> RunConfig:
    """The language model's training as a run: what decides its weights, on the machine of the one that asks for it."""
    settings = request.settings
    training = TrainingConfig(
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        clip=settings.clip,
        early_stopping=EarlyStoppingConfig(patience=settings.patience),
        log_every=settings.log_every,
    )
    return RunConfig(
        description=f"the language model {request.model}",
        seed=settings.seed,
        data=whole_training_part(config.data),
        elmo=ElmoConfig(model=request.model, state="zero"),
        pretraining=settings,
        training=training,
        tracking=TrackingConfig(wandb="disabled"),
        runtime=config.runtime,
    ).canonical()


def _run_one(run: RunContext, request: PretrainingRequest) -> Stop | None:
    run_dir = request.run_dir(run.results)
    if run_dir.completed:
        return None
    # The folder is named after all that decides the weights: files may have been moved since it was made.
    config = run_dir.read_config().on_the_machine_of(run.config) if run_dir.config_file.exists() else run.config
    run = replace(run, config=run_dir.create(config))
    with patient_lock(run_dir.lock_file, "trains the same language model", lambda who: run.progress(who, 0, None)):
        run_dir = replace(run_dir, attempt=AttemptFolder(run_dir.path))
        run = replace(run, run_dir=run_dir)
        if run_dir.completed:
            return None
        corpus = prepare_corpus(run.config.data, run.results, run.progress)
        gathered = gather_text(corpus, run.config.data.text, request.files, run.progress)
        text = LanguageText(gathered, corpus, request.settings)
        trainer = _prepare_trainer(run, request, corpus, text)

        def work() -> Stop | None:
            reason = trainer.train()
            if reason is None:
                _write_model(run_dir, request, corpus, trainer)
            return reason

        return finish_attempt(run, begin_attempt(run, trainer, corpus.dataset), trainer, work)


def _prepare_trainer(
    run: RunContext, request: PretrainingRequest, corpus: Corpus, text: LanguageText
) -> Trainer[LanguageTask]:
    identity = {"config": run.config.fingerprint(), "data": corpus.fingerprint, "code": running_code().training}
    identity |= {"text or size of the language model": request.fingerprint}

    def build(device: torch.device, choices: Mapping[str, Any]) -> LanguageTask:
        what = f"the language model in {run.run_dir.path}"
        library = choose_library(torch.float32, device, choices[_LIBRARY], what)
        model = LanguageModel(request.options, text.vocabulary, request.settings.dropout, library)
        if request.init:
            model.load(request.init.read_weights())
        return LanguageTask(run.config, model.to(device), text, device)

    return resumed_trainer(run, identity, build, {_LIBRARY: choose_library(torch.float32, torch.device("cpu"))})


def _write_model(
    run_dir: PretrainedDir, request: PretrainingRequest, corpus: Corpus, trainer: Trainer[LanguageTask]
) -> None:
    """Write the model of the best epoch, the card last."""
    best, text, options = trainer.early_stopping.best_weights, trainer.task.text, request.options
    run_dir.write(run_dir.options_file, lambda file: file.write(options_bytes(options)))
    content = weights_bytes(encoder_weights(best, options))
    run_dir.write(run_dir.weights_file, lambda file: file.write(content))
    point = next(point for point in read_points(run_dir) if point.epoch == trainer.early_stopping.best_epoch)
    card = PretrainedCard(
        model=request.model,
        fingerprint=request.fingerprint,
        files_fingerprint=fingerprint([sha256_of(file) for file in (run_dir.options_file, run_dir.weights_file)]),
        source=corpus.report.source,
        training_tweets=len(corpus.rows("train")),
        held_out_tweets=len(text.held_out),
        unlabelled=text.text.counts,
        init=request.settings.init,
        words=text.vocabulary,
        unknown=text.unknown,
        parameters=options.parameters,
        tokens=text.tokens,
        epochs=trainer.epoch,
        best_epoch=point.epoch,
        steps=trainer.step,
        forward=point.forward,
        backward=point.backward,
        seconds_trained=trainer.seconds,
    )
    run_dir.write_card(card)
    Checkpoints(run_dir.checkpoints).delete_all()
