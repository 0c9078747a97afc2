"""The patterns of NLTK's TweetTokenizer, without the second that it takes to import all of NLTK."""

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

_MODULE = "nltk.tokenize.casual"
_importing = threading.Lock()


class TweetPatterns(NamedTuple):
    """Patterns as NLTK has compiled them."""

    tokens: Any
    """What its TweetTokenizer takes for a token, phone numbers included."""
    hanging: Any
    """A character, neither letter nor digit, that occurs four times or more in a row."""


def tweet_patterns() -> TweetPatterns:
    """Those of the NLTK that is installed."""
    with _importing:
        casual = _alone() if "nltk" not in sys.modules else importlib.import_module(_MODULE)
    # Not its method `tokenize`, which always unescapes HTML.
    return TweetPatterns(casual.TweetTokenizer().PHONE_WORD_RE, casual.HANG_RE)


def _alone() -> ModuleType:
    """The module and what it imports, but not its packages, which import scikit-learn, SciPy and pandas."""
    with _bare_packages():
        try:
            return importlib.import_module(_MODULE)
        except (ImportError, AttributeError):
            pass  # another NLTK, in which the module needs its packages
    return importlib.import_module(_MODULE)


@contextmanager
def _bare_packages() -> Iterator[None]:
    """Within the context the module's packages have no content; afterwards they are as if never imported."""
    spec = importlib.util.find_spec("nltk")
    folders = list(spec.submodule_search_locations or []) if spec else []
    try:
        for name, places in (("nltk", folders), ("nltk.tokenize", [f"{folder}/tokenize" for folder in folders])):
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = places
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "nltk"]:
            del sys.modules[name]
