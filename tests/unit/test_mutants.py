"""Mutants are kept up with the source: `make mutants` itself takes too long to find that out."""

from __future__ import annotations

import pytest

from tests.series.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.path)
def test_each_mutant_has_one_place_in_the_source_and_changes_it(mutant: Mutant) -> None:
    assert (ROOT / mutant.path).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.old != mutant.new
