"""Flags and words of the script as candidates: where a diagnosis fits their meaning, before any recipe like them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from progtrain.advisor.interface import Candidate
from progtrain.engine.analysis.gather import gather
from progtrain.engine.analysis.types import Insight, Limits
from progtrain.engine.script.action.operations import parse_operation

if TYPE_CHECKING:
    from tests.analysis.conftest import Lab

FLAT = [1.1 - 0.006 * i for i in range(20)]
RISING = [0.9 - 0.04 * i for i in range(8)] + [0.6 + 0.08 * i for i in range(12)]
STUCK = [1.1 + 0.2 * 0.5**i for i in range(20)]
FALLING = [0.8 * 0.75**i for i in range(20)]
OPTIMIZER = "        return torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate)\n"


def scaling(lab: Lab, value: bool) -> str:
    """The script scales its inputs where a flag says so."""
    step = "        x, y = batch\n"
    code = f"{step}        if STANDARDIZE:\n            x = (x - MEAN) / STD\n"
    return lab.script().replace("SEED = 42", f"SEED = 42\nSTANDARDIZE = {value}").replace(step, code)


def uneven_inputs(lab: Lab) -> None:
    path = lab.ws.stats("toy_v1")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"mean": [0.0, 50.0], "std": [1.0, 900.0]}))


def look(
    lab: Lab, limits: Limits, source: str, train: list[float] | None = None, val: list[float] | None = None
) -> Insight:
    record = lab.version(source=source, train=train, val=val, accuracy=0.34 if train is STUCK else 0.9)
    insight = gather(lab.ws, "v001", limits, lab.records)
    for candidate in insight.candidates:
        operation = parse_operation(candidate.operation)
        operation.verify(record.source, operation.apply(record.source))
    return insight


def setting(insight: Insight, key: str) -> Candidate | None:
    found = [c for c in insight.candidates if c.operation.get("setting") == key]
    assert len(found) <= 1
    return found[0] if found else None


def ids(insight: Insight) -> set[str]:
    return {candidate.id for candidate in insight.candidates}


def test_a_flag_that_scales_inputs_is_turned_on_instead_of_a_recipe(lab: Lab, limits: Limits) -> None:
    uneven_inputs(lab)
    insight = look(lab, limits, scaling(lab, False))
    assert insight.findings[0].id == "unscaled_inputs" and insight.findings[0].strength > 0.9
    found = setting(insight, "standardize")
    assert found is not None and found.rank == 1
    assert (found.id, found.title, found.change) == (
        "standardize_on",
        "turn STANDARDIZE on",
        "standardize False → True",
    )
    assert found.reasons[0].startswith("for: unscaled inputs")
    assert "add_input_standardisation" not in ids(insight)


def test_a_flag_that_is_on_keeps_the_recipe_away_and_is_not_offered(lab: Lab, limits: Limits) -> None:
    uneven_inputs(lab)
    insight = look(lab, limits, scaling(lab, True))
    assert setting(insight, "standardize") is None
    assert "add_input_standardisation" not in ids(insight)


def test_without_a_diagnosis_that_fits_nothing_is_turned_on(lab: Lab, limits: Limits) -> None:
    assert setting(look(lab, limits, scaling(lab, False)), "standardize") is None


@pytest.mark.parametrize("locked", ["inputs", "input_standardisation", "standardize"])
def test_a_lock_on_the_like_of_it_holds_for_the_flag(lab: Lab, locked: str) -> None:
    uneven_inputs(lab)
    limits = Limits("accuracy", True, locked=frozenset({locked}))
    assert setting(look(lab, limits, scaling(lab, False)), "standardize") is None


def chosen(lab: Lab, rate: float, now: str, other: str) -> str:
    code = (
        f"        if OPTIMIZER == {other!r}:\n"
        f"            return torch.optim.AdamW(self.parameters(), lr=self.hparams.learning_rate)\n{OPTIMIZER}"
    )
    return (
        lab.script(learning_rate=rate).replace(OPTIMIZER, code).replace("SEED = 42", f"SEED = 42\nOPTIMIZER = {now!r}")
    )


def test_another_optimizer_that_the_script_knows_is_a_candidate(lab: Lab, limits: Limits) -> None:
    insight = look(lab, limits, chosen(lab, 0.001, "sgd", "adamw"), FLAT)
    found = setting(insight, "optimizer")
    assert found is not None and (found.id, found.title) == ("optimizer_adamw", "take adamw for OPTIMIZER")
    assert "use_adamw" not in ids(insight)


@pytest.mark.parametrize(
    ("rate", "now", "other"), [(0.1, "sgd", "adamw"), (0.001, "adam", "adamw"), (0.001, "adam", "sgd")]
)
def test_an_optimizer_that_does_not_fit_is_none(lab: Lab, limits: Limits, rate: float, now: str, other: str) -> None:
    assert setting(look(lab, limits, chosen(lab, rate, now, other), FLAT), "optimizer") is None


@pytest.mark.parametrize(("now", "offered"), [("none", True), ("step", False), ("cosine", False)])
def test_a_schedule_is_taken_where_there_is_none(lab: Lab, limits: Limits, now: str, offered: bool) -> None:
    code = OPTIMIZER.replace("return", "optimizer =") + (
        '        if self.scheduler == "cosine":\n            return [optimizer], [cosine(optimizer)]\n'
        '        if self.scheduler == "step":\n            return [optimizer], [step(optimizer)]\n'
        "        return optimizer\n"
    )
    source = lab.script().replace(OPTIMIZER, code).replace("SEED = 42", f'SEED = 42\nSCHEDULER = "{now}"')
    insight = look(lab, limits, source)
    found = setting(insight, "schedule")
    assert (found is not None and found.operation["to"] == "cosine") is offered
    assert "add_cosine_schedule" not in ids(insight)


@pytest.mark.parametrize(
    ("value", "train", "val", "to"),
    [(False, FALLING, RISING, True), (True, STUCK, STUCK, False), (True, FALLING, RISING, None)],
)
def test_augmentation_comes_with_overfitting_and_goes_with_underfitting(
    lab: Lab, limits: Limits, value: bool, train: list[float], val: list[float], to: bool | None
) -> None:
    source = lab.script().replace(
        "def main():\n", f"AUGMENT = {value}\n\n\ndef main():\n    data = bent() if AUGMENT else plain()\n"
    )
    found = setting(look(lab, limits, source, train, val), "augment")
    assert (found and found.operation["to"]) is to


def test_a_flag_in_two_places_is_left_alone(lab: Lab, limits: Limits) -> None:
    uneven_inputs(lab)
    source = scaling(lab, False).replace("HIDDEN_SIZE = 32", 'HIDDEN_SIZE = 32\nCONFIG = {"standardize": False}')
    lab.version(source=source)
    assert setting(gather(lab.ws, "v001", limits, lab.records), "standardize") is None
