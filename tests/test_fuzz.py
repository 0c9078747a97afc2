"""A short run of `tests.fuzz`, the same each time."""

import pytest

from tests.fuzz import READERS, read_invented


@pytest.mark.parametrize("name", READERS)
def test_reader_refuses_what_it_cannot_read(name: str) -> None:
    assert read_invented(name, seed=0, examples=25) >= 20
