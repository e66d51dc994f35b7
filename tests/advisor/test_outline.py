"""What each section has to say, and which sentences may say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from progtrain.advisor.check import wellformed
from progtrain.advisor.interface import Briefing, Finding
from progtrain.advisor.prose import subjects, wording
from progtrain.advisor.prose.outline import Outline, compatible, fresh
from progtrain.advisor.prose.phrasing import KEY, spellings
from progtrain.engine.script.action.catalogue import recipes, words_of

Make = Callable[..., Briefing]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("The loss rose after epoch @best_epoch.", None),
        ("Training ended after @epochs epochs.", None),
        ("When the model stops", None),
        ("accuracy accuracy accuracy", 'it says "accuracy" twice in a row'),
        ("The loss and and the gap.", 'it says "and" twice in a row'),
        ("Loss up, loss down, the loss of the loss.", 'it says "loss" again and again'),
        ("The gap of @gap shows the", "it ends in the middle"),
        ("The gap (near @gap is large.", "its punctuation does not add up"),
        ("It is so that the loss, so that the gap grows.", 'it says "so that the" twice'),
        ("The loss.", "it is too short for a sentence"),
    ],
)
def test_what_is_no_sentence_is_told(text: str, problem: str | None) -> None:
    assert wellformed.problem(text) == problem


def _banks() -> Iterator[tuple[str, bool]]:
    actions = [*wording.families().values(), *(recipe.words() for recipe in recipes())]
    parts = [*wording.results().values(), *(part for action in actions for part in action.values())]
    yield from ((line, False) for part in parts for line in part)
    for finding in wording.findings().values():
        for name, lines in finding.items():
            yield from ((line, name == "focus") for line in lines)


def test_every_sentence_of_the_banks_reads_as_one_in_every_spelling() -> None:
    assert [s for text, phrase in _banks() for s in spellings(text) if wellformed.problem(s, phrase=phrase)] == []


@pytest.mark.parametrize(
    ("hypothesis", "option", "against"),
    [
        ("A larger learning rate might reach the same point within 20 epochs.", "learning_rate_down", True),
        ("A larger learning rate might reach the same point within 20 epochs.", "learning_rate_up", False),
        ("A smaller learning rate would let the loss settle.", "learning_rate_up", True),
        ("The model memorises training samples.", "hidden_size_up", True),
        ("The model memorises training samples.", "add_dropout", False),
        ("The model is too small or too strongly regularised for the task.", "add_dropout", True),
        ("The loss is dominated by frequent classes.", "learning_rate_up", False),
    ],
)
def test_a_hypothesis_is_held_against_the_choice(hypothesis: str, option: str, against: bool) -> None:
    assert subjects.contradicts(hypothesis, {option, *words_of(option).get("effects", ())}) is against


def test_focus_names_only_what_a_candidate_can_act_on(make_briefing: Make) -> None:
    focus = [text for part in Outline(make_briefing()).parts("focus") for text in part.sentences]
    assert "dropout between the hidden layers" in focus
    assert "the size of the model" not in focus


def test_every_matter_of_the_banks_is_within_reach_of_some_candidate() -> None:
    effects = {effect for recipe in recipes() for effect in words_of(recipe.id)["effects"]}
    matters = [text for finding in wording.findings().values() for text in finding["focus"]]
    assert not [text for text in matters if subjects.out_of_reach(text, wording.written_about() | effects)]


def test_what_a_recipe_acts_on_is_a_word_of_the_subjects() -> None:
    known = frozenset().union(*(served | against for _, served, against in (*subjects._CAUSES, *subjects._MATTERS)))
    assert [(r.id, effect) for r in recipes() for effect in r.effects if effect not in known] == []


def test_the_summary_must_name_result_and_change(make_briefing: Make) -> None:
    result, lead, *_ = Outline(make_briefing()).parts("summary")
    assert all({"value", "delta_previous"} <= set(KEY.findall(text)) for text in result.sentences)
    assert (result.least, lead.least) == (1, 1)
    assert set(lead.sentences) <= set(wording.findings()["overfitting"]["summary"])


def test_of_two_diagnoses_that_shut_each_other_out_the_stronger_one_is_told() -> None:
    found = [Finding(id=name, strength=1, text="", evidence=()) for name in ("overfitting", "underfitting", "plateau")]
    assert [finding.id for finding in compatible(found)] == ["overfitting", "plateau"]


def test_a_diagnosis_that_nobody_wrote_about_is_told_in_its_own_words(make_briefing: Make) -> None:
    finding = Finding(id="tired", strength=1, text="the gap of @gap is tiring", evidence=("gap",))
    parts = Outline(make_briefing().model_copy(update={"findings": (finding,)})).parts("summary")
    assert parts[1].sentences == ("the gap of @gap is tiring.",)


def test_a_figure_is_told_once_in_a_section(make_briefing: Make) -> None:
    part = Outline(make_briefing()).parts("evidence")[0]
    first = next(text for text in part.sentences if "@rise" in text)
    assert not [text for text in fresh(part, [first]) if "@rise" in text]
