"""From a word's characters to its vector, with gradients: convolutions, maximum, highways and projection."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F

from sentiment.elmo.encoder.characters import CHARACTERS, NO_CHARACTER
from sentiment.elmo.encoder.products import Library
from sentiment.elmo.language_model.products import product
from sentiment.elmo.options import CharacterCnn


def word_vectors(
    ids: torch.Tensor, weights: Mapping[str, torch.Tensor], options: CharacterCnn, library: Library
) -> torch.Tensor:
    """The context-free vectors of words (Kim et al. 2016), (words, vector).

    Args:
        ids: (words, 50) of int64 from `character_ids`.
        weights: by their names in the published files.
    """
    # "No token" (0) is no word of any batch; the files have no row for it.
    ids = ids - 1
    # All windows beyond the longest word see only "no character" and have one value: one of them is enough.
    longest = int((ids != NO_CHARACTER - 1).sum(1).max())
    widest = max(width for width, _ in options.filters)
    characters = F.embedding(ids[:, : min(CHARACTERS, longest + widest)], weights["char_embed"]).transpose(1, 2)
    found = []
    for number in range(len(options.filters)):
        filters = weights[f"CNN/W_cnn_{number}"][0].permute(2, 1, 0)
        found.append(F.conv1d(characters, filters).amax(2) + weights[f"CNN/b_cnn_{number}"])
    features = torch.cat(found, dim=1)
    features = torch.relu(features) if options.activation == "relu" else torch.tanh(features)
    for number in range(options.n_highway):
        name = f"CNN_high_{number}"
        # The gate that the files call "carry" multiplies the transformed value.
        kinds = ("transform", "carry")
        matrix = torch.cat([weights[f"{name}/W_{kind}"] for kind in kinds], dim=1)
        bias = torch.cat([weights[f"{name}/b_{kind}"] for kind in kinds])
        transformed, gate = product(features, matrix, bias, library).chunk(2, dim=1)
        features = torch.lerp(features, torch.relu(transformed), torch.sigmoid(gate))
    return product(features, weights["CNN_proj/W_proj"], weights["CNN_proj/b_proj"], library)
