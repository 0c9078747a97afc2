"""Where allennlp, the reference, is not installed, tests against it are skipped."""

import pytest

from sentiment.elmo.products import Library, has_onednn
from sentiment.elmo.reference import reference_is_installed

needs_allennlp = pytest.mark.skipif(
    not reference_is_installed(), reason="allennlp is not installed, so there is nothing to compare with"
)
needs_onednn = pytest.mark.skipif(not has_onednn(), reason="torch has no oneDNN here")
LIBRARIES: list[Library] = ["torch", "onednn"] if has_onednn() else ["torch"]
