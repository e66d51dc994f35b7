"""What hints rule out, in words that people use."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from progtrain.engine.control import decisions
from progtrain.engine.drafting.hints import veto, wanted
from progtrain.engine.workspace import Workspace


@pytest.mark.parametrize(
    ("hint", "locks", "candidates"),
    [
        ("no schedule changes", {"schedule"}, set()),
        ("No dropout!", {"dropout"}, set()),
        ("please no label smoothing", {"label_smoothing"}, set()),
        ("without weight decay", {"weight_decay"}, set()),
        ("leave the optimizer alone", {"optimizer"}, set()),
        ("don't touch the loss", {"loss"}, set()),
        ("try cosine but not warmup", {"warmup"}, set()),
        ("no longer training, please", set(), {"epochs_up", "add_epochs"}),
        ("no more epochs", set(), {"epochs_up", "add_epochs"}),
        ("no lower learning rate", set(), {"learning_rate_down"}),
        ("no smaller model", set(), {"hidden_size_down", "layers_down"}),
        ("don’t suggest dropout again, and no higher lr", {"dropout"}, {"learning_rate_up", "add_learning_rate"}),
        ("not add_weight_decay", {"add_weight_decay"}, {"add_weight_decay"}),
        ("no code edits", set(), {"edit_*"}),
        ("don't undo v002", set(), {"undo_*", "back_to_*"}),
        ("no schedule changes, try dropout", {"schedule"}, set()),
    ],
)
def test_a_hint_that_says_no_rules_something_out(hint: str, locks: set[str], candidates: set[str]) -> None:
    found = veto(hint)
    assert any(found)
    assert candidates == set(found[1])
    assert locks <= set(found[0] | found[1])


@pytest.mark.parametrize(
    "hint",
    [
        "think about the classes 3 and 8",
        "try dropout",
        "smaller steps",
        "not so sure about class 8",
        "nothing is wrong with the data",
        "more epochs",
        "the learning rate may be too large",
        "",
    ],
)
def test_a_hint_that_asks_for_something_rules_nothing_out(hint: str) -> None:
    assert not any(veto(hint))


def test_a_hint_counts_until_it_is_taken_back_and_again_when_it_is_given_again(ws: Workspace) -> None:
    def give(number: int, hint: str, minute: int) -> None:
        at = datetime(2026, 1, 1, 12, minute, tzinfo=UTC)
        fields = {"question": f"v001-review-{number}", "answer": "redraft", "hint": hint, "at": at}
        decisions.decide(ws, decisions.Decision.model_validate(fields))

    give(1, "no dropout", 1)
    give(2, "classes 3 and 8", 2)
    assert decisions.hints(ws) == ("no dropout", "classes 3 and 8")
    decisions.forget_hint(ws, "no dropout", datetime(2026, 1, 1, 12, 3, tzinfo=UTC))
    assert decisions.hints(ws) == ("classes 3 and 8",)
    give(3, "no dropout", 4)
    assert decisions.hints(ws) == ("classes 3 and 8", "no dropout")


OFFERED = [
    "learning_rate_down",
    "epochs_up",
    "add_dropout",
    "use_adamw",
    "add_cosine_schedule",
    "dropout_up",
    "undo_v002",
    "keep_best_epoch",
]


@pytest.mark.parametrize(
    ("hint", "ids"),
    [
        ("try dropout", ("add_dropout",)),
        ("Please try a cosine schedule.", ("add_cosine_schedule",)),
        ("how about adamw", ("use_adamw",)),
        ("smaller steps", ("learning_rate_down",)),
        ("more regularisation", ("add_dropout", "dropout_up")),
        ("no dropout, but try adamw", ("use_adamw",)),
        ("longer training", ("epochs_up",)),
        ("no schedule changes, try dropout", ("add_dropout",)),
        ("No schedule, please use dropout instead", ("add_dropout",)),
        ("no schedule changes, rather dropout", ("add_dropout",)),
        ("don't touch the schedule and try adamw", ("use_adamw",)),
        ("do not use, add or try dropout", ()),
        ("no dropout, use of adamw", ()),
        ("keep the best epoch", ("keep_best_epoch",)),
        ("try the best epoch", ("keep_best_epoch",)),
        ("do not keep the best epoch", ()),
        ("keep dropout", ()),
        ("think about the classes 3 and 8", ()),
        ("the dropout was not the cause", ()),
        ("no longer training", ()),
        ("try something else", ()),
    ],
)
def test_a_hint_that_asks_for_something_puts_it_first(hint: str, ids: tuple[str, ...]) -> None:
    assert wanted(hint, OFFERED) == ids
