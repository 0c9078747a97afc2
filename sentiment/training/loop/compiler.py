"""Training without torch's compiler, whose import takes as long as that of torch itself.

Each optimiser imports `torch._dynamo` when it is made and at each step, only to say that it is not to be compiled. A
training process compiles nothing, so a stand-in can answer; others who import the compiler get the real one.
"""

import sys
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any

_NAME = "torch._dynamo"


class AbsentCompiler(ModuleType):
    """What is asked of `torch._dynamo` by functions that are not to be compiled."""

    @staticmethod
    def disable(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
        """The function as it is, since nothing is compiled; without one, a decorator that returns it as it is."""
        return function if function is not None else lambda decorated: decorated

    @staticmethod
    def graph_break(*_: Any, **__: Any) -> None:
        """Nothing to do: there is no graph."""


class WithoutCompiler:
    """A context in which `import torch._dynamo` finds a stand-in, unless the compiler is loaded already."""

    def __init__(self) -> None:
        self._absent = AbsentCompiler(_NAME)

    def __enter__(self) -> None:
        sys.modules.setdefault(_NAME, self._absent)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if sys.modules.get(_NAME) is self._absent:
            del sys.modules[_NAME]
