"""What the bundled model learns from: true sentences in the engine's own words."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from models.recipe import corpus
from progtrain.advisor.check.grounding import Grounding
from progtrain.advisor.prose import wording
from progtrain.advisor.prose.phrasing import KEY
from progtrain.advisor.prose.prompts import parse
from progtrain.engine.analysis.vocabulary import BUCKETS, CANDIDATES, DIAGNOSES, FACTS, RELATIVE_BUCKETS
from progtrain.engine.script.action.catalogue import recipes

SENTENCES = [
    *(line for part in wording.results().values() for line in part),
    *(line for finding in wording.findings().values() for part in finding.values() for line in part),
    *(line for action in wording.families().values() for part in action.values() for line in part),
    *(line for recipe in recipes() for part in recipe.words().values() for line in part),
]


@pytest.fixture(scope="module")
def examples() -> list[corpus.Example]:
    return [corpus.example(seed) for seed in range(corpus.HELD_OUT, corpus.HELD_OUT + 150)]


def test_every_diagnosis_and_every_candidate_has_words() -> None:
    assert set(wording.findings()) == set(DIAGNOSES)
    assert set(CANDIDATES) <= wording.written_about() | {recipe.candidate_id for recipe in recipes() if recipe.words()}
    assert {frozenset(recipe.words()) for recipe in recipes()} == {frozenset(wording.other())}


def test_sentences_name_facts_of_the_vocabulary_and_hold_no_number() -> None:
    texts = [re.sub(r"^\[[^\]]*\]", "", sentence) for sentence in SENTENCES]
    assert [text for text in texts if not set(KEY.findall(text)) <= set(FACTS)] == []
    assert [text for text in texts if re.search(r"\d", text)] == []


def test_conditions_name_facts_and_words_that_there_are() -> None:
    words = {key: {word.replace(" ", "_") for word, _ in bounds} for key, bounds in BUCKETS.items()}
    words |= {key: {word.replace(" ", "_") for word in bounds} for key, bounds in RELATIVE_BUCKETS.items()}
    words |= {"best": {"self", "previous", "earlier"}, "metric": {"higher", "lower"}, "schedule": {"constant"}}
    words |= {"task": {"classification", "regression"}, "optimizer": {"adam", "adamw", "sgd", "rmsprop", "other"}}
    words |= {f"verdict_{name}": {"better", "worse", "noise"} for name in ("previous", "best")}
    words |= {f"delta_{name}": {"+", "-", "0"} for name in ("previous", "best")}
    for sentence in SENTENCES:
        for condition in re.findall(r"^\[([^\]]*)\]", sentence):
            for part in condition.split(","):
                key, _, wanted = part.lstrip("!").partition(":")
                assert key in FACTS, sentence
                assert set(filter(None, wanted.split("/"))) <= words.get(key, set()), sentence


def test_what_it_learns_is_true_and_complete(examples: list[corpus.Example]) -> None:
    problems: Counter[str] = Counter()
    whole = 0
    for example in examples:
        grounding = Grounding(example.briefing)
        sections = parse(example.answer)
        assert sections.pop("choice")[0] in {option.id for option in example.briefing.options}
        # of a rare section no sentence may hold
        assert len(sections) in (8, 9)
        whole += len(sections) == 9
        for name, lines in sections.items():
            problems.update(f"{line} ({p})" for line in lines if (p := grounding.problem(line, name)))
    assert whole >= 0.97 * len(examples)
    # a sentence may still be a border case of its fact; it must be a rare one
    assert sum(problems.values()) <= 3, problems


def test_a_seed_gives_the_same_example_again() -> None:
    assert corpus.example(5) == corpus.example(5)


def test_briefings_vary_as_they_do_in_life(examples: list[corpus.Example]) -> None:
    facts = [{fact.key for fact in example.briefing.facts} for example in examples]
    assert any("previous" not in keys for keys in facts)
    assert any("previous" in keys and "worst_class" not in keys for keys in facts)
    assert any("val_loss" not in keys for keys in facts)
    assert {len(example.briefing.options) for example in examples} >= {5, 8, 12}
    assert any(example.briefing.hints for example in examples)
    assert any(example.choice.startswith("undo_v") for example in examples)
    assert any(example.choice.startswith("back_to_v") for example in examples)
