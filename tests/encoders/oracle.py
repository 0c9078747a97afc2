"""Where allennlp, the reference, is not installed, tests against it are skipped."""

from importlib.util import find_spec

import pytest

from sentiment.encoders.elmo import has_onednn

HAS_ALLENNLP = find_spec("allennlp") is not None
needs_allennlp = pytest.mark.skipif(
    not HAS_ALLENNLP, reason="allennlp is not installed, so there is nothing to compare with"
)
LIBRARIES = ["torch", "onednn"] if has_onednn() else ["torch"]
