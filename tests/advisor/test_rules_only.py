"""Drafts without a model."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from progtrain.advisor.check.grounding import Grounding
from progtrain.advisor.interface import Briefing, Candidate, Prose
from progtrain.advisor.prose import rules_draft

Make = Callable[..., Briefing]


def texts(prose: Prose) -> list[str]:
    return [line for part in prose.model_dump().values() for line in ([part] if isinstance(part, str) else part)]


@pytest.mark.parametrize("verdict", ["better", "worse", "within noise"])
@pytest.mark.parametrize("first", [True, False])
def test_every_section_is_written_and_every_number_is_a_fact(make_briefing: Make, verdict: str, first: bool) -> None:
    briefing = make_briefing(verdict=verdict, delta=-0.02 if verdict == "worse" else 0.0139, first=first)
    draft = rules_draft.draft(briefing)
    assert draft.author == "rules only"
    assert draft.model_sha256 is None
    assert all(texts(draft.prose))
    assert not [n for text in texts(draft.prose) for n in Grounding(briefing).foreign_numbers(text)]
    assert not [text for text in texts(draft.prose) if "@" in text or "{" in text or "[" in text]


def test_the_first_of_the_ranking_is_chosen(make_briefing: Make) -> None:
    draft = rules_draft.draft(make_briefing())
    assert draft.chosen == "add_dropout"
    assert draft.ranking[0].id == "add_dropout"
    assert sum(r.probability for r in draft.ranking) == pytest.approx(1)


def test_the_first_version_says_that_there_is_no_previous_one(make_briefing: Make) -> None:
    deltas = " ".join(rules_draft.draft(make_briefing(first=True)).prose.metric_deltas)
    assert "first version" in deltas or "no previous version" in deltas or "No earlier version" in deltas


def test_the_diagnosis_is_in_the_evidence(make_briefing: Make) -> None:
    assert "Validation loss rose by 0.630 after epoch 6." in rules_draft.draft(make_briefing()).prose.evidence


def test_the_same_facts_give_the_same_words(make_briefing: Make) -> None:
    assert rules_draft.draft(make_briefing()) == rules_draft.draft(make_briefing())


def test_a_briefing_with_hardly_any_fact_still_gives_a_draft() -> None:
    briefing = Briefing(version="v001", facts=(), findings=(), options=())
    draft = rules_draft.draft(briefing, notes=["why"])
    assert all(texts(draft.prose))
    assert (draft.chosen, draft.ranking, draft.notes) == ("", (), ("why",))


def test_a_candidate_that_nobody_wrote_about_is_told_in_its_own_words(make_briefing: Make) -> None:
    option = Candidate(id="use_lion", change="use Lion", why="Lion needs less memory.", risk="high", rank=1)
    draft = rules_draft.draft(make_briefing().model_copy(update={"options": (option,)}))
    assert draft.prose.goal == "Lion needs less memory."
