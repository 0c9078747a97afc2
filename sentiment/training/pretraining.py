"""Training an ELMo of one's own: the bidirectional language model (Peters et al. 2018), its task, and its run from the
tweets to the model's files, which `sentiment.encoders.elmo` then reads."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from sentiment.config import (
    EarlyStoppingConfig,
    ElmoConfig,
    PretrainingConfig,
    RunConfig,
    TrackingConfig,
    TrainingConfig,
)
from sentiment.console import Console
from sentiment.data.batches import EVALUATION_TOKENS, Batch, EpochPlan, TokenStore
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.data.text import TokenRows
from sentiment.data.vocabulary import TextCount, gather_text, render_count, whole_training_part
from sentiment.encoders.elmo import CharacterNetwork
from sentiment.encoders.elmo_files import (
    DIRECTIONS,
    FORGET_BIAS,
    GATES,
    SENTENCE_END,
    SENTENCE_START,
    ElmoOptions,
    cell_group,
    character_ids,
    options_bytes,
    read_weights,
    weights_bytes,
)
from sentiment.encoders.models import PretrainedCard, PretrainedDir, PretrainingRequest, pretraining_request
from sentiment.errors import DataError
from sentiment.files import as_json, fingerprint, sha256_of
from sentiment.models.classifier import evaluation_mode
from sentiment.runs.attempts import AttemptFolder, ProcessLock
from sentiment.runs.code_version import running_code
from sentiment.runs.run_dir import Results
from sentiment.training.checkpoint import Checkpoints
from sentiment.training.stop import RunContext, StopRequest, stoppable
from sentiment.training.task import Evaluation
from sentiment.training.trainer import Trainer, train_task

# What is predicted besides words: both marks, and any word that is too rare.
_MARKS, _UNKNOWN, _SPECIAL = (0, 1), 2, 3
# Numbers of tokens in a store, which reserves 0 and 1.
_FIRST_MARK, _LAST_MARK, _FIRST_TYPE = 2, 3, 4
# The logits of all predicted words are there at once.
_MOST_TOKENS = EVALUATION_TOKENS // 4
# Of the training tweets at most a tenth is held out.
_LARGEST_SHARE = 10
# The most frequent words are distinguished at once; of the others first only which group they belong to.
_GROUPS = (1_000, 8_000, 40_000)
# Caps the loss before exp, so that a diverged model does not overflow.
_LARGEST_LOSS = 100.0


@dataclass(frozen=True)
class DirectedText:
    """A batch in both directions, each from its own first step on; step k predicts what stands at step k + 1.

    Attributes:
        characters: (distinct tokens and marks, 50) of int64.
        inputs: forward and backward, each (time, batch): which of them stands at a step.
        targets: forward and backward, each (time, batch): the word of the vocabulary that comes next.
        inside: (time, batch) of bool: whether something of the tweet comes next.
    """

    characters: torch.Tensor
    inputs: torch.Tensor
    targets: torch.Tensor
    inside: torch.Tensor


class DirectedTweets:
    """Many tweets on a device, in batches of `store`; none is empty.

    Args:
        words: (types,): the number of each type of `rows` in the vocabulary that is predicted.
    """

    def __init__(self, rows: TokenRows, words: npt.NDArray[np.int64], device: torch.device) -> None:
        self.store = TokenStore(rows.token_ids.astype(np.int64) + _FIRST_TYPE, rows.offsets, None, device)
        # Two rows that no batch asks for come first.
        characters = character_ids(["", "", SENTENCE_START, SENTENCE_END, *rows.types]).astype(np.int16)
        self._characters = torch.from_numpy(characters).to(device)
        self._words = torch.from_numpy(np.concatenate([[0, 0, *_MARKS], words]).astype(np.int64)).to(device)

    def directed(self, batch: Batch) -> DirectedText:
        tweets, longest = batch.token_ids.shape
        lengths = batch.lengths[:, None]
        marked = torch.full((tweets, longest + 2), _LAST_MARK, device=batch.lengths.device)
        marked[:, 0] = _FIRST_MARK
        marked[:, 1:-1] = torch.where(batch.mask, batch.token_ids, _LAST_MARK)
        steps = torch.arange(longest + 2, device=batch.lengths.device).expand(tweets, -1)
        # After its first mark a tweet has nothing more to be read backward; what stands there is not looked at.
        backward = marked.gather(1, (lengths + 1 - steps).clamp(min=0))
        both = torch.stack([marked, backward]).transpose(1, 2)
        distinct, numbers = torch.unique(both, return_inverse=True)
        inside = (steps[:, :-1] <= lengths).t()
        return DirectedText(self._characters[distinct].long(), numbers[:, :-1], self._words[both[:, 1:]], inside)


class LanguageModel(nn.Module):
    """Predicts each word of a tweet from those before it, and from those after it.

    Every tweet begins with zeros as the LSTMs' state, so its vectors are those of the encoder's state `zero`. Words are
    predicted by one adaptive softmax for both directions (Edouard Grave et al. 2017, https://arxiv.org/abs/1609.04309),
    which is exact.

    What is not given begins with random weights from torch's generator.

    Args:
        words: in the vocabulary that is predicted, the most frequent ones first.
        dropout: share of the values that is set to zero in training, of each layer's input and the last output.
        begin: the encoder's weights, from a file; what predicts words is in no file.

    Attributes:
        weights: those of the encoder, named and laid out as in the published files.
    """

    def __init__(
        self, options: ElmoOptions, words: int, dropout: float, begin: Mapping[str, np.ndarray] | None = None
    ) -> None:
        super().__init__()
        self.options, self._dropout = options, dropout
        self.weights = nn.ParameterDict(
            {
                name: nn.Parameter(torch.from_numpy(begin[name]) if begin else _initial(name, shape))
                for name, shape in options.datasets().items()
            }
        )
        cutoffs = [end for end in _GROUPS if end < words] or [max(words - 1, 1)]
        self.next_word = nn.AdaptiveLogSoftmaxWithLoss(
            options.lstm.projection_dim, words, cutoffs, div_value=2.0, head_bias=True
        )

    def trainable_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())

    def forward(self, text: DirectedText) -> tuple[torch.Tensor, torch.Tensor]:
        """The negative logarithms of the probabilities of a batch's words, each (words,): forward of each word after
        those before it, and of the mark after the last one; backward likewise."""
        found = []
        for direction, layers in enumerate(self.layers(text)):
            top = self._drop(layers[-1][text.inside])
            found.append(-self.next_word(top, text.targets[direction][text.inside]).output)
        return found[0], found[1]

    def layers(self, text: DirectedText) -> list[list[torch.Tensor]]:
        """Forward and backward the output of each layer, (time, batch, vector), the context-free one first."""
        vectors = CharacterNetwork(self.options.char_cnn, dict(self.weights.items()))(text.characters)
        found = []
        for direction in range(DIRECTIONS):
            outputs = [F.embedding(text.inputs[direction], vectors)]
            for layer in range(self.options.lstm.n_layers):
                seen = self._drop(outputs[-1])
                output = self._lstm(seen, cell_group(direction, layer))
                # Around the layer, not within its recurrence.
                outputs.append(output + seen if layer else output)
            found.append(outputs)
        return found

    def _lstm(self, inputs: torch.Tensor, group: str) -> torch.Tensor:
        """Run a layer over a batch whose tweets all begin with the first step, from a state of zeros: (time, batch,
        vector). What follows a tweet's end changes nothing before it."""
        options = self.options.lstm
        matrix, bias, projection = (self.weights[f"{group}/{name}"] for name in ("W_0", "B", "W_P_0"))
        recurrent = matrix[options.projection_dim :]
        # TensorFlow adds one to the forget gate, which the files don't hold.
        constant = F.pad(bias.new_full((options.dim,), FORGET_BIAS), (2 * options.dim, options.dim))
        entering = inputs @ matrix[: options.projection_dim] + (bias + constant)
        state = inputs.new_zeros(inputs.shape[1], options.projection_dim)
        cells, states = inputs.new_zeros(inputs.shape[1], options.dim), []
        for step in entering:
            # In the order of the files: input, candidate, forget, output.
            enter, candidate, keep, leave = torch.addmm(step, state, recurrent).chunk(GATES, dim=1)
            cells = cells * keep.sigmoid() + enter.sigmoid() * candidate.tanh()
            if options.cell_clip is not None:
                cells = cells.clamp(-options.cell_clip, options.cell_clip)
            state = (leave.sigmoid() * cells.tanh()) @ projection
            if options.proj_clip is not None:
                state = state.clamp(-options.proj_clip, options.proj_clip)
            states.append(state)
        return torch.stack(states)

    def _drop(self, values: torch.Tensor) -> torch.Tensor:
        return F.dropout(values, self._dropout, self.training)


def _initial(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Random weights, scaled so that activations neither vanish nor grow from layer to layer."""
    kind = name.rsplit("/", 1)[-1]
    if kind == "char_embed":
        return torch.empty(shape).uniform_(-1, 1)
    if kind == "b_carry":
        return torch.full(shape, -2.0)  # highways begin with passing on what they get, as in bilm-tf
    if kind == "B" or kind.startswith("b_"):
        return torch.zeros(shape)
    inputs = math.prod(shape[:-1])
    spread = math.sqrt(2 / (inputs + shape[-1] / (GATES if kind == "W_0" else 1)))
    return torch.randn(shape) * spread


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

    def __init__(
        self, text: TokenRows, counts: dict[str, TextCount], corpus: Corpus, settings: PretrainingConfig
    ) -> None:
        lengths = np.diff(text.offsets)
        # The corpus' own tweets come first; of other text it is not known how alike it is.
        own = len(corpus.rows("train"))
        order = np.random.default_rng(settings.seed).permutation(np.flatnonzero(lengths[:own]))
        self.text, self.counts = text, counts
        self.held_out = np.sort(order[: min(settings.held_out, len(order) // _LARGEST_SHARE)])
        self.rows = np.setdiff1d(np.flatnonzero(lengths), self.held_out)
        of_held_out = np.repeat(np.isin(np.arange(len(lengths)), self.held_out), lengths)
        often = np.bincount(text.token_ids[~of_held_out], minlength=len(text.types))
        frequent = [number for number in range(len(text.types)) if often[number] >= settings.min_count]
        if not len(self.held_out) or not frequent:
            raise DataError(
                f"{corpus.path}: {len(order):,} training tweets are too few for a language model: a tenth of them is "
                f"held out, and a token has to occur {settings.min_count:,} times in the others (pretraining.min_count)"
            )
        frequent.sort(key=lambda number: (-often[number], text.types[number]))
        kept = frequent[: settings.max_words - _SPECIAL]
        self.words = np.full(len(text.types), _UNKNOWN, np.int64)
        self.words[kept] = np.arange(len(kept)) + _SPECIAL
        self.vocabulary = len(kept) + _SPECIAL
        self.tokens = int(lengths[self.rows].sum())
        self.unknown = float((self.words[text.token_ids[of_held_out]] == _UNKNOWN).mean())


class LanguageTask:
    """A language model, on a device, and the text that it is trained on; see `Task`."""

    section = "pretraining"

    def __init__(self, config: RunConfig, model: LanguageModel, text: LanguageText, device: torch.device) -> None:
        self.model, self.text, self.device, self._config = model, text, device, config
        self._tweets = DirectedTweets(text.text, text.words, device)
        self._epoch = 0

    def batches(self, epoch: int) -> EpochPlan:
        self._epoch = epoch
        return self._tweets.store.epoch(self.text.rows, self._config.training.batch_size, self._config.seed, epoch)

    def share_of_rate(self, _step: int) -> float:
        return 1.0

    def loss(self, batch: Batch) -> tuple[torch.Tensor, None]:
        forward, backward = self.model(self._tweets.directed(batch))
        return (forward.mean() + backward.mean()) / 2, None

    def evaluate(self, check: Callable[[], None]) -> Evaluation:
        """Perplexity of the held-out tweets in both directions, after the current epoch."""
        words, sums = 0, [0.0, 0.0]
        with evaluation_mode(self.model):
            for batch in self._tweets.store.in_order_of_length(self.text.held_out, _MOST_TOKENS):
                check()
                both = self.model(self._tweets.directed(batch))
                words += len(both[0])
                sums = [so_far + one.double().sum().item() for so_far, one in zip(sums, both, strict=True)]
        forward, backward = (so_far / words for so_far in sums)
        loss, tokens = (forward + backward) / 2, self.text.tokens * (self._epoch + 1)
        if not math.isfinite(loss):
            raise FloatingPointError("the perplexity of the held-out tweets is not a number")
        row = {"n": words, "loss": loss, "forward": forward, "backward": backward}
        said = f"perplexity of held-out tweets {_perplexity(forward):.1f} forward, {_perplexity(backward):.1f} backward"
        return Evaluation(
            {"tokens": tokens, "held_out": row}, SimpleNamespace(loss=loss), f"{tokens:,} tokens read   {said}"
        )


def _perplexity(loss: float) -> float:
    return math.exp(min(loss, _LARGEST_LOSS))


@stoppable
def run_pretraining(configs: Iterable[RunConfig], results: Results, stop: StopRequest, console: Console) -> None:
    """Train the language models that these runs ask for, each once; complete ones are left as they are.

    Of several processes that ask for the same one trains it, and the others wait. Raises as `run_experiment`.
    """
    for config in configs:
        if request := pretraining_request(config, results):
            train_language_model(RunContext(config, results, request.run_dir, stop, console), request)


def _as_run(request: PretrainingRequest, config: RunConfig) -> RunConfig:
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


def train_language_model(run: RunContext, request: PretrainingRequest) -> None:
    """Train the model that a run asks for, unless it is complete; raises as `run_pretraining`, and StoppedError."""
    run_dir, stop = request.run_dir, run.stop
    if not run_dir.completed:
        epochs, stop.epochs = stop.epochs, None  # it is no trial of a search, and ends at no rung
        try:
            _train(replace(run, config=_as_run(request, run.config)), request)
        finally:
            stop.epochs = epochs
    if card := run_dir.read_card():
        run.console.say("\n".join([*card.lines, f"  in {run_dir.path}"]))


def _train(run: RunContext, request: PretrainingRequest) -> None:
    run_dir = request.run_dir
    # The folder is named after all that decides the weights: files may have been moved since it was made.
    config = run_dir.read_config().on_the_machine_of(run.config) if run_dir.config_file.exists() else run.config
    config = run_dir.create(config)
    with ProcessLock(run_dir.lock_file, "trains the same language model", run.progress):
        run_dir = replace(run_dir, attempt=AttemptFolder(run_dir.path))
        run = replace(run, config=config, run_dir=run_dir)
        if run_dir.completed:
            return
        corpus = prepare_corpus(run.config.data, run.results, run.progress)
        gathered = gather_text(corpus, run.config.data.text, request.files, run.progress)
        text = LanguageText(*gathered, corpus, request.settings)
        identity = {"config": run.config.fingerprint(), "data": corpus.fingerprint, "code": running_code().training}
        identity |= {"text or size of the language model": request.fingerprint}

        def build(device: torch.device) -> LanguageTask:
            begin = read_weights(request.init.weights_path, request.options) if request.init else None
            model = LanguageModel(request.options, text.vocabulary, request.settings.dropout, begin)
            return LanguageTask(run.config, model.to(device), text, device)

        train_task(run, identity, build, partial(_write_model, run_dir, request, corpus), corpus.dataset)


def _write_model(
    run_dir: PretrainedDir, request: PretrainingRequest, corpus: Corpus, trainer: Trainer[LanguageTask]
) -> None:
    stopping, text, options = trainer.early_stopping, trainer.task.text, request.options
    weights = {name: stopping.best_weights[f"weights.{name}"].detach().cpu().numpy() for name in options.datasets()}
    run_dir.write(run_dir.options_file, lambda file: file.write(options_bytes(options)))
    run_dir.write(run_dir.weights_file, lambda file: file.write(weights_bytes(weights)))
    found = next(row["held_out"] for row in run_dir.read_epochs()[0] if row["epoch"] == stopping.best_epoch)
    facts = {
        "model": request.model,
        "source": corpus.report.source,
        "training_tweets": len(corpus.rows("train")),
        "held_out_tweets": len(text.held_out),
        "unlabelled": text.counts,
        "init": request.settings.init,
        "words": text.vocabulary,
        "unknown": text.unknown,
        "parameters": options.parameters,
        "tokens": text.tokens,
        "epochs": trainer.epoch,
        "best_epoch": stopping.best_epoch,
        "forward": _perplexity(found["forward"]),
        "backward": _perplexity(found["backward"]),
    }
    lines = [
        "{model}: {parameters:,} weights; best of {epochs} epochs of {tokens:,} tokens is {best_epoch}",
        "  perplexity of {held_out_tweets:,} training tweets that were held out: {forward:.1f} forward, {backward:.1f} "
        "backward (vocabulary {words:,}, {unknown:.1%} unknown)",
        "  {training_tweets:,} training tweets of {source}: their text alone",
    ]
    card = PretrainedCard(
        files_fingerprint=fingerprint([sha256_of(file) for file in (run_dir.options_file, run_dir.weights_file)]),
        facts=facts,
        lines=[line.format(**facts) for line in lines]
        + [f"  {path}: {render_count(count)}" for path, count in text.counts.items()],
    )
    run_dir.write(run_dir.card_file, as_json(card.model_dump(mode="json")))
    Checkpoints(run_dir.checkpoints).delete_all()
