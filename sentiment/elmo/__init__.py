"""ELMo (Peters et al. 2018): the published encoder, read from the official files, exact and fast.

`Elmo`, `batch_to_ids` and `ScalarMix` are used as those of `allennlp.modules`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sentiment.elmo.files import batch_to_ids
    from sentiment.elmo.mix import Elmo, ScalarMix
else:
    _MODULES = {"Elmo": "mix", "ScalarMix": "mix", "batch_to_ids": "files"}

    def __getattr__(name):
        """Load torch only for those who use it: looking for a model's files does not."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


__all__ = ["Elmo", "ScalarMix", "batch_to_ids"]
