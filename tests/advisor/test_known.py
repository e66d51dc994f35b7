"""The bundled model's sentences held against the facts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from progtrain.advisor.check import known
from progtrain.advisor.interface import Briefing

Make = Callable[..., Briefing]


@pytest.mark.parametrize(
    ("text", "section", "problem"),
    [
        ("After epoch @best_epoch the validation loss rises by @rise.", "evidence", None),
        ("A sentence that nobody wrote down about @gap.", "evidence", None),
        ("The weights are not decayed.", "evidence", None),
        ("The weights are not decayed.", "goal", "it belongs under evidence"),
        (
            "Validation was still improving when training ended after @epochs epochs.",
            "summary",
            "it speaks of too_few_epochs, which the facts do not show",
        ),
        ("There is no dropout in the model.", "evidence", "it is not true of these facts"),
        ("Hold back memorising with dropout.", "goal", None),
        (
            "Cover more ground in @epochs epochs with larger steps than @learning_rate.",
            "goal",
            "it speaks of larger_steps, which the facts do not show",
        ),
    ],
)
def test_a_sentence_must_be_true_and_in_its_place(make_briefing: Make, text: str, section: str, problem: str) -> None:
    chosen = "add_dropout" if section == "goal" else ""
    assert known.problem(text, section, make_briefing(), chosen) == problem
