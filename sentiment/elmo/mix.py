"""Mixtures of ELMo's layers, and `Elmo` for code that was written for allennlp."""

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import nn

from sentiment.elmo.encoder import LAYERS, ElmoEncoder, StateMode
from sentiment.elmo.files import CHARACTER_KINDS, CHARACTERS, character_ids, read_options, read_weights
from sentiment.elmo.models import PUBLISHED, fetch_elmo, published_files
from sentiment.errors import ElmoError
from sentiment.runs.run_dir import Results


def batch_to_ids(batch: Sequence[Sequence[str]]) -> torch.Tensor:
    """The character ids of a batch of tokenised sentences, as `batch_to_ids` of allennlp returns them.

    Returns:
        (sentences, tokens of the longest, 50) of int64; zeros after the end of shorter sentences.
    """
    lengths = np.fromiter(map(len, batch), np.int64, len(batch))
    ids = np.zeros((len(batch), lengths.max(initial=0), CHARACTERS), np.int64)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = character_ids([token for sentence in batch for token in sentence])
    return torch.from_numpy(ids)


class ScalarMix(nn.Module):
    """gamma * sum over k of softmax(weights)_k * layer_k, with gamma 1 at first; as allennlp's.

    Args:
        mixture_size: number of layers.
        initial_scalar_parameters: the weights at first, before the softmax; None: zeros, so all layers count alike.
        trainable: whether weights and gamma are trained.

    Raises:
        ElmoError: another number of weights than of layers.
    """

    def __init__(
        self,
        mixture_size: int,
        initial_scalar_parameters: Sequence[float] | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__()
        initial = [0.0] * mixture_size if initial_scalar_parameters is None else list(initial_scalar_parameters)
        if len(initial) != mixture_size:
            raise ElmoError(f"scalar_mix_parameters = {initial}: {mixture_size} numbers are needed, one for each layer")
        self.weights = nn.Parameter(torch.tensor(initial, dtype=torch.float32), trainable)
        self.gamma = nn.Parameter(torch.ones(()), trainable)

    def forward(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """(..., vector), in the precision of the parameters, of the layers, each (..., vector).

        Raises:
            ValueError: another number of layers than `mixture_size`.
        """
        if len(tensors) != len(self.weights):
            raise ValueError(f"{len(tensors)} layers are given, but {len(self.weights)} are mixed")
        # Stored layers may be of half precision, which is too little to add up and to train in.
        shares = torch.softmax(self.weights, 0)
        weighted = (share * tensor.to(shares.dtype) for share, tensor in zip(shares, tensors, strict=True))
        mixed: torch.Tensor = self.gamma * reduce(torch.add, weighted)
        return mixed


class Elmo(nn.Module):
    """Learned mixtures of ELMo's layers (Peters et al. 2018), constructed and called as `Elmo` of allennlp 2.10.1.

    It computes what allennlp computes in its first call, to about 1e-6. What differs: later calls do not begin with the
    state that the call before has left, so that a sentence's vectors do not depend on the sentences before it; the
    weights of the language model cannot be trained, and they are not part of `state_dict`, which holds the mixtures
    only.

    Args:
        options_file: path of the model's options; or, with `weight_file`, the URL of a published model, which is kept
            in `results/data/elmo` and fetched if it is not there.
        num_output_representations: number of mixtures, each with weights of its own.
        requires_grad: only False; the language model is frozen.
        do_layer_norm: only False; with it, vectors would depend on the other sentences of a batch.
        dropout: share of each representation's values that is dropped in training.
        vocab_to_cache: only None; each distinct token of a batch is computed once in any case.
        keep_sentence_boundaries: whether the representations include the marks before and after each sentence.
        scalar_mix_parameters: three weights before the softmax, the context-free layer's first, which are then not
            trained; None: they are trained from zero.
        module: only None; ELMo's own encoder is used.
        state: `zero`: every sentence begins with zeros; `warm`: with the state after a fixed text.

    Raises:
        ElmoError: an argument is not supported, or a file is missing, damaged or of another model.
        DownloadError: a published model cannot be fetched.

    Example:
        >>> from sentiment.elmo.mix import Elmo, batch_to_ids  # instead of: from allennlp.modules.elmo import ...
        >>> elmo = Elmo(options_file, weight_file, num_output_representations=1, dropout=0)
        >>> elmo(batch_to_ids([["Good", "morning"], ["Hello"]]))["elmo_representations"][0].shape
        torch.Size([2, 2, 1024])
    """

    def __init__(  # more parameters than elsewhere: they are allennlp's, in its order
        self,
        options_file: str | Path,
        weight_file: str | Path,
        num_output_representations: int,
        requires_grad: bool = False,
        do_layer_norm: bool = False,
        dropout: float = 0.5,
        vocab_to_cache: Sequence[str] | None = None,
        keep_sentence_boundaries: bool = False,
        scalar_mix_parameters: Sequence[float] | None = None,
        module: nn.Module | None = None,
        *,
        state: StateMode = "zero",
    ) -> None:
        super().__init__()
        unsupported = {"requires_grad": requires_grad, "do_layer_norm": do_layer_norm}
        for name, value in (unsupported | {"vocab_to_cache": vocab_to_cache, "module": module}).items():
            if value is not None and value is not False:
                raise ElmoError(f"Elmo: {name} = {value!r}: is not supported here; leave it out")
        if state not in get_args(StateMode):
            raise ElmoError(f"Elmo: state = {state!r}: {', '.join(get_args(StateMode))} are valid")
        self._state, self._files = state, _local_files(str(options_file), str(weight_file))
        self._encoder = self._encoder_on(torch.device("cpu"))
        self._keep_sentence_boundaries = keep_sentence_boundaries
        self._dropout = nn.Dropout(dropout)
        self._mixtures = []
        for number in range(num_output_representations):
            mix = ScalarMix(len(LAYERS), scalar_mix_parameters, trainable=scalar_mix_parameters is None)
            self.add_module(f"scalar_mix_{number}", mix)
            self._mixtures.append(mix)

    def get_output_dim(self) -> int:
        return self._encoder.vector_size

    def forward(self, inputs: torch.Tensor, word_inputs: None = None) -> dict[str, Any]:
        """Representations of a batch of sentences.

        Args:
            inputs: (batch, time, 50) or (batch, ..., time, 50) of int64 from `batch_to_ids`, on the device of this
                module; `time` grows by two where sentence boundaries are kept.
            word_inputs: only None.

        Returns:
            `elmo_representations`, for each mixture (batch, time, vector), zeros where there is no token; and `mask`,
            (batch, time) of bool, true where there is one.

        Raises:
            ElmoError: the inputs are no character ids.
        """
        if word_inputs is not None:
            raise ElmoError("Elmo: word_inputs are not supported here; pass character ids alone")
        if inputs.dim() < 3 or inputs.shape[-1] != CHARACTERS or ((inputs < 0) | (inputs >= CHARACTER_KINDS)).any():
            raise ElmoError(
                f"Elmo: inputs of shape {tuple(inputs.shape)} are no character ids: valid are those of batch_to_ids, "
                f"(batch, time, {CHARACTERS}) from 0 to {CHARACTER_KINDS - 1}"
            )
        if self._encoder.device != inputs.device:
            self._encoder = self._encoder_on(inputs.device)  # a layout is of one device
        layers, mask = self._encoder.encode_ids(inputs.flatten(0, -3))
        representations = [mix(layers) for mix in self._mixtures]
        if not self._keep_sentence_boundaries:
            # The second mark stands right after the last token, so the mask is moved by two: by one for each mark.
            mask = mask[:, 2:]
            representations = [one[:, 1:-1].masked_fill(~mask[:, :, None], 0) for one in representations]
        shape = (*inputs.shape[:-2], mask.shape[1])
        representations = [self._dropout(one).view(*shape, one.shape[2]) for one in representations]
        return {"elmo_representations": representations, "mask": mask.view(shape)}

    def _encoder_on(self, device: torch.device) -> ElmoEncoder:
        options_path, weights_path = self._files
        options = read_options(options_path)
        return ElmoEncoder(options, read_weights(weights_path, options), state=self._state, device=device)


def _local_files(options_file: str, weight_file: str) -> tuple[Path, Path]:
    """Paths of both files; those of a published model, if URLs are given."""
    if "://" not in options_file + weight_file:
        return Path(options_file), Path(weight_file)
    for name in PUBLISHED:
        if published_files(name) == (options_file.rpartition("/")[2], weight_file.rpartition("/")[2]):
            found = fetch_elmo(name, Results(Path("results")).elmo_models)
            return found.options_path, found.weights_path
    raise ElmoError(
        f"{options_file} and {weight_file}: no files of a published model; valid are paths, or both URLs of one of "
        f"{', '.join(PUBLISHED)}"
    )
