"""How far our ELMo, and allennlp's own, are from the same computed in float64, by how far the gates saturate.

    python -m tests.benchmarks.bench_elmo_parity [FOLDER]   # of a model; else random weights of the small size

A gate whose sum is large turns the last digit of that sum into a different step, which all later steps begin with. No
order of adding up is the right one then: both are away from float64, and from each other, by about as much.
"""

import sys
import tempfile
from pathlib import Path

import torch

from sentiment.encoders.allennlp import ReferenceElmo
from sentiment.encoders.elmo import LAYERS, ElmoEncoder
from sentiment.encoders.elmo_files import read_weights
from sentiment.encoders.pretrained import read_options
from tests.encoders.tweets import random_tweets, strong_model

_STRENGTHS = (1, 2, 4, 8)
_TWEETS = 24


def main() -> None:
    """Print a line for each model."""
    torch.set_num_threads(1)
    if sys.argv[1:]:
        folder = Path(sys.argv[1])
        _show(folder.name, next(folder.glob("*options.json")), next(folder.glob("*weights.hdf5")))
        return
    for strength in _STRENGTHS:
        with tempfile.TemporaryDirectory() as folder:
            model = strong_model(Path(folder), "small", strength)
            _show(f"random, {strength} times as strong as usual", model.options, model.weights)


def _show(name: str, options: Path, weights: Path) -> None:
    tweets = random_tweets(_TWEETS, longest=_TWEETS)
    read = read_options(options)
    found = ElmoEncoder(read, read_weights(weights, read)).encode(tweets)
    reference = ReferenceElmo(options, weights, state="zero")
    theirs = reference.encode(tweets)
    reference._bilm.double()
    exact = reference.encode(tweets)
    clip = read.lstm.proj_clip or float("inf")
    away = [max(float((one[layer].double() - exact[layer]).abs().max()) for layer in LAYERS) for one in (found, theirs)]
    apart = max(float((found[layer] - theirs[layer]).abs().max()) for layer in LAYERS)
    share = max(float((exact[layer].abs() >= clip).double().mean()) for layer in LAYERS[1:])
    print(
        f"{name}: from allennlp {apart:.1e}; from float64 ours {away[0]:.1e}, allennlp's {away[1]:.1e}; "
        f"{share:.2%} of a layer's values at the clip"
    )


if __name__ == "__main__":
    main()
