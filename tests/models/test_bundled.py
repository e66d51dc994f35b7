"""The file that is in the repository: what its choices brought where that was measured."""

from __future__ import annotations

import pytest

from models.recipe import evaluate, experience
from progtrain.advisor.llama.model import Model
from progtrain.advisor.locate import bundled_model


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    return evaluate.outcomes(Model(bundled_model()), experience.held_out()[::8])


def test_it_reads_the_facts(found: dict[str, float]) -> None:
    """With another script's facts before it, the same options bring far less."""
    true, mixed = (found[f"gain of the model alone{facts}"] for facts in ("", ", another state's facts"))
    assert true > mixed + 0.1


def test_it_is_no_worse_than_the_rules_on_families_it_never_saw(found: dict[str, float]) -> None:
    together, rules = found["gain of model and rules together"], found["gain of the rules alone"]
    assert found["gain of the best that was tried"] >= together > rules - 0.05
    assert together > 5 * found["gain of a random choice"]
