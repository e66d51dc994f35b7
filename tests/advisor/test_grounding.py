"""What gets through to the page, and what does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from progtrain.advisor.check.grounding import Grounding
from progtrain.advisor.interface import Briefing

Make = Callable[..., Briefing]


@pytest.mark.parametrize(
    "sentence",
    [
        "@metric rose to @value (@delta_previous).",
        "@version improved on @previous by the measure of @metric.",
        "The gap is @gap, and validation loss rose by @rise after epoch @best_epoch.",
        "@metric is 0.9611 in v003.",
        "F1 and R2 are names, not numbers.",
        "@metric should fall below @value if it gets worse.",
        "No better than @previous: the sentence denies it.",
        "class 8 is missed most.",
    ],
)
def test_sentences_that_the_facts_bear_out(make_briefing: Make, sentence: str) -> None:
    assert Grounding(make_briefing()).problem(sentence, "summary") is None


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("The loss is 0.5.", "the number 0.5 is not among the facts"),
        ("@metric is 0.961.", "the number 0.961 is not among the facts"),
        ("@metric is 0.96110.", "the number 0.96110 is not among the facts"),
        ("v004 is next.", "the number 004 is not among the facts"),
        ("It took twice as long.", '"twice" is a number that no fact shows'),
        ("Accuracy is up by five percent.", '"five" is a number that no fact shows'),
        ("The @gaps are wide.", "it names @gaps, which is not among the facts"),
        ("An @ sign.", "it holds a stray @"),
        ("...", "it says nothing"),
        ("@metric fell to @value (@delta_previous).", '"fell" contradicts the sign of @delta_previous'),
        ("@metric got worse, @delta_previous.", '"worse" contradicts @delta_previous'),
        ("Validation loss fell by @rise.", '"fell" contradicts @rise'),
        ("The loss drops by @late_slope.", '"drops" contradicts @late_slope'),
        ("The loss is still falling (@late_slope).", '"falling" contradicts @late_slope, which is rising'),
        ("A small gap of @gap.", '"small" contradicts @gap, which is large'),
        ("The change of @delta_previous is within noise.", 'it speaks of noise although the verdict is "better"'),
        ("The roughness of @gap is high.", "it gives @gap as roughness"),
    ],
)
def test_sentences_that_the_facts_do_not_bear_out(make_briefing: Make, sentence: str, reason: str) -> None:
    assert Grounding(make_briefing()).problem(sentence, "summary") == reason


def test_a_rise_is_no_improvement_where_lower_is_better(make_briefing: Make) -> None:
    worse = Grounding(make_briefing(metric="rmse", delta=0.02, verdict="worse", higher=False))
    assert worse.problem("@metric rose (@delta_previous), so @version is worse than @previous.", "summary") is None
    assert worse.problem("@metric improved (@delta_previous).", "summary")


def test_no_improvement_is_claimed_within_noise(make_briefing: Make) -> None:
    unsure = Grounding(make_briefing(verdict="within noise"))
    assert unsure.problem("@version improved on @previous.", "summary")
    assert unsure.problem("The gain of @delta_previous is beyond the noise.", "summary")
    assert unsure.problem("@metric rose by a bit (@delta_previous), within noise.", "summary") is None


def test_the_first_version_is_not_compared(make_briefing: Make) -> None:
    assert Grounding(make_briefing(first=True)).problem("@metric improved.", "summary")


def test_plans_may_speak_of_directions(make_briefing: Make) -> None:
    assert Grounding(make_briefing()).problem("Lower steps make @metric worse only if it overshoots.", "risk") is None


def test_keys_become_values(make_briefing: Make) -> None:
    grounding = Grounding(make_briefing())
    assert grounding.fill("@metric reaches @value.") == "Accuracy reaches 0.9611."
    assert grounding.fill("the epoch @best_epoch's loss.") == "The epoch 6's loss."


def test_control_sequences_in_values_do_not_come_through(make_briefing: Make) -> None:
    made = make_briefing()
    wild = tuple(
        f.model_copy(update={"display": "\x1b[31mcat<|eos|>"}) if f.key == "worst_class" else f for f in made.facts
    )
    assert Grounding(made.model_copy(update={"facts": wild})).fill("@worst_class fails.") == "[31mcat fails."


def test_foreign_numbers_are_found_in_finished_text(make_briefing: Make) -> None:
    grounding = Grounding(make_briefing())
    assert grounding.foreign_numbers("accuracy is 0.9611 at learning_rate 0.001 → 0.0003 in v003.") == []
    assert grounding.foreign_numbers("accuracy is 0.9612 after 30 epochs.") == ["0.9612", "30"]
