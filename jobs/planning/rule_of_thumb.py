"""How long runs may take that are like nothing trained here: by the work of a step, rough, and for CPUs alone.

The constants are of the order that real runs on one core show: `python -m tests.benchmarks.bench_estimates` compares.
"""

from sentiment.config import RunConfig

SECONDS_PER_STEP = 0.005
"""What each step takes besides: the optimiser, and what a library does for each call."""
SECONDS_PER_MULTIPLICATION = 1e-10
"""Forth and back, by the network's multiplications for each token."""
TIMES = 3.0
"""So many times as long, or as short, other processors and other tweets may take."""

_TOKENS = 15  # of a tweet, on average
_ELMO_SIZE = 1024  # numbers of a token's vector in the published models, but for the small one's 256


def work(config: RunConfig) -> int:
    """Multiplications of the network for each token, about."""
    model, inputs = config.model, _ELMO_SIZE if config.elmo else config.embedding.size
    if model.kind == "feed_forward":
        return inputs * model.hidden_size + (model.layers - 1) * model.hidden_size**2
    directions, gates = 2 if model.bidirectional else 1, 4 if model.cell == "lstm" else 3
    sizes = [inputs, *[directions * model.hidden_size] * (model.layers - 1)]
    return sum(directions * gates * model.hidden_size * (size + model.hidden_size) for size in sizes)


def epoch_core_seconds(config: RunConfig, tweets: int) -> float:
    """Seconds of an epoch on one core, about, of a run on word vectors."""
    steps = -(-tweets // config.training.batch_size)
    return steps * SECONDS_PER_STEP + tweets * _TOKENS * work(config) * SECONDS_PER_MULTIPLICATION
