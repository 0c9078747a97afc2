"""The mutants apply to the code as it is, so that the table does not rot; whether tests notice them: `make mutants`."""

from pathlib import Path

import pytest

from tests.mutants import Mutant, read_mutants

MUTANTS = read_mutants()
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_mutant_changes_one_place_and_its_tests_are_there(mutant: Mutant) -> None:
    compile(mutant.content(ROOT), mutant.file, "exec")
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).exists(), test
        assert not name or f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), test


def test_mutants_have_names_of_their_own() -> None:
    assert len({mutant.bug for mutant in MUTANTS}) == len(MUTANTS)
