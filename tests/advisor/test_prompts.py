"""What a model reads."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from progtrain.advisor.interface import Briefing, Candidate
from progtrain.advisor.prose import instruct, prompts

Make = Callable[..., Briefing]


def test_the_bundled_model_reads_keys_and_words_but_no_digits_of_values(make_briefing: Make) -> None:
    text = prompts.render(make_briefing())
    assert "gap:large" in text
    assert "delta_previous:+" in text
    # versions in ids are the only digits
    assert set(re.findall(r"\w*\d+\w*", text)) <= {"v002", "v003", "undo_v003"}


def test_the_same_briefing_gives_the_same_prompt(make_briefing: Make) -> None:
    assert prompts.render(make_briefing()) == prompts.render(make_briefing())


def test_the_bundled_model_does_not_see_the_rules_ranking(make_briefing: Make) -> None:
    briefing = make_briefing()
    count = len(briefing.options)
    turned = tuple(o.model_copy(update={"rank": count + 1 - o.rank, "score": 1.0}) for o in reversed(briefing.options))
    text = prompts.render(briefing)
    assert text.splitlines()[-1] == "options add_dropout add_weight_decay learning_rate_up:medium undo_v003"
    assert prompts.render(briefing.model_copy(update={"options": turned})) == text


def test_a_model_is_shown_the_first_dozen_and_what_the_hint_names(make_briefing: Make) -> None:
    names = [f"option_{letter}" for letter in "abcdefghijklmno"] + ["add_batch_norm"]
    many = tuple(Candidate(id=n, change=n, why="", risk="low", rank=place) for place, n in enumerate(names, 1))
    briefing = make_briefing().model_copy(update={"options": many})
    assert [o.id for o in prompts.offered(briefing)] == names[:12]
    hinted = briefing.model_copy(update={"hints": ("try batch norm",)})
    assert [o.id for o in prompts.offered(hinted)] == [*names[:11], "add_batch_norm"]


def test_tried_actions_are_told_in_the_words_of_candidates(make_briefing: Make) -> None:
    assert "tried v002:epochs_up:better v003:learning_rate_down:worse" in prompts.render(
        make_briefing(delta=-0.01, verdict="worse")
    )


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("learning_rate 0.001 → 0.0003", "learning_rate_down"),
        ("set lr 1e-4 -> 3e-4", "learning_rate_up"),
        ("CONFIG['max_epochs'] 5 → 20", "epochs_up"),
        ("optimizer sgd → adam", "optimizer_changed"),
        ("add gradient_clipping (max_norm=1.0)", "add_gradient_clipping"),
        ("use adamw", "use_adamw"),
        ("undo v002", "undo_v002"),
        ("back to v003", "back_to_v003"),
        ("add_dropout", "add_dropout"),
        ("", ""),
    ],
)
def test_actions_as_speaking_words(text: str, slug: str) -> None:
    assert prompts.action_slug(text) == slug


@pytest.mark.parametrize("token", ["<|im_start|>", "<|eos|>", "</s>", "[INST]", "<end_of_turn>", "\x1b[31m"])
def test_control_tokens_in_user_text_reach_no_model(make_briefing: Make, token: str) -> None:
    hinted = make_briefing().model_copy(update={"hints": (f"try {token} dropout",), "instruction": (token,)})
    assert token not in prompts.render(hinted)
    assert token not in instruct.messages(hinted)[-1]["content"]


def test_control_tokens_that_appear_once_others_are_gone_go_too() -> None:
    assert "<|eos|>" not in prompts.clean("<|e<|x|>os|>").replace(" ", "")


def test_other_models_read_values_and_meanings(make_briefing: Make) -> None:
    text = instruct.messages(make_briefing())[-1]["content"]
    assert "@gap = 0.574 (large): what gap means" in text
    assert "add_dropout: add dropout (p=0.2) (risk low)" in text


def test_a_prompt_that_must_be_shorter_loses_the_least_important_facts_first(make_briefing: Make) -> None:
    shorter, dropped = prompts.shorten(make_briefing(), lambda b: len(b.facts) <= 8)
    assert dropped == len(make_briefing().facts) - len(shorter.facts)
    assert {"version", "metric", "value", "delta_previous"} <= {fact.key for fact in shorter.facts}


@pytest.mark.parametrize(
    ("metric", "higher"),
    [("accuracy", True), ("val_loss", False), ("MeanSquaredError", False), ("AUROC", True), ("glow", None)],
)
def test_which_way_is_better_is_known_from_names_where_nothing_else_tells(
    make_briefing: Make, metric: str, higher: bool | None
) -> None:
    assert prompts.higher_is_better(make_briefing(first=True, metric=metric)) is higher


def test_which_way_is_better_is_taken_from_the_facts_first(make_briefing: Make) -> None:
    assert prompts.higher_is_better(make_briefing(metric="glow", delta=-0.01, higher=False)) is False


def test_an_answer_is_read_with_bullets_and_other_heading_levels() -> None:
    assert prompts.parse("Before.\n## Evidence:\n- One.\n2. Two.\n\n# focus\n* Three") == {
        "summary": ["Before."],
        "evidence": ["One.", "Two."],
        "focus": ["Three"],
    }
