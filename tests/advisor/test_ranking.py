"""The model's ranking and the rules', together."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from progtrain.advisor import ranking
from progtrain.advisor.interface import Briefing

Make = Callable[..., Briefing]

#: In the rules' order: add_dropout, add_weight_decay, learning_rate_up, undo_v003.
SURE = {"add_dropout": -5.0, "add_weight_decay": -0.1, "learning_rate_up": -5.0, "undo_v003": -5.0}
WAVERING = {"add_dropout": -1.0, "add_weight_decay": -0.9, "learning_rate_up": -2.0, "undo_v003": -3.0}


def test_a_model_that_is_sure_has_its_way_and_both_sides_are_told(make_briefing: Make) -> None:
    ranked = ranking.combined(make_briefing(), SURE)
    assert ranked[0].id == "add_weight_decay"
    assert ranking.disagreement(make_briefing(), ranked) == (
        "add_weight_decay by both rankings together (model 98 %, rules place 2); the rules alone: add_dropout"
    )


def test_a_model_that_wavers_takes_what_the_rules_put_first(make_briefing: Make) -> None:
    ranked = ranking.combined(make_briefing(), WAVERING)
    assert ranked[0].id == "add_dropout"
    assert ranking.disagreement(make_briefing(), ranked) == (
        "add_dropout by both rankings together (model 38 %, rules place 1); the model alone: add_weight_decay (42 %)"
    )


def test_the_chance_is_the_product_of_both(make_briefing: Make) -> None:
    ranked = {r.id: r for r in ranking.combined(make_briefing(), WAVERING)}
    assert sum(r.probability for r in ranked.values()) == pytest.approx(1)
    assert sum(r.model or 0 for r in ranked.values()) == pytest.approx(1)
    first, third = ranked["add_dropout"], ranked["learning_rate_up"]
    assert first.probability / third.probability == pytest.approx(4 * math.e)


def test_agreement_needs_no_note(make_briefing: Make) -> None:
    assert ranking.disagreement(make_briefing(), ranking.from_rules(make_briefing())) is None


def scored(make_briefing: Make, **scores: float) -> Briefing:
    briefing = make_briefing()
    options = [option.model_copy(update={"score": scores.get(option.id, 0.1)}) for option in briefing.options]
    return briefing.model_copy(update={"options": tuple(options)})


def test_rules_that_are_sure_have_their_way_and_the_model_where_they_are_not(make_briefing: Make) -> None:
    sure = scored(make_briefing, add_dropout=0.95, add_weight_decay=0.4)
    close = scored(make_briefing, add_dropout=0.72, add_weight_decay=0.7)
    leaning = {**WAVERING, "add_weight_decay": -0.3}
    assert ranking.combined(sure, leaning)[0].id == "add_dropout"
    assert ranking.combined(close, leaning)[0].id == "add_weight_decay"


def test_rules_alone_keep_their_order_by_score(make_briefing: Make) -> None:
    found = ranking.from_rules(scored(make_briefing, add_dropout=0.9, add_weight_decay=0.5))
    assert [r.id for r in found][:2] == ["add_dropout", "add_weight_decay"]
    assert found[0].probability / found[1].probability == pytest.approx(math.exp(6 * 0.4))
