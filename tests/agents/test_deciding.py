"""What no agent answers, whatever it is allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from progtrain.engine.agents import deciding, looking
from progtrain.engine.clock import now
from progtrain.engine.control import decisions
from progtrain.engine.errors import InputError
from progtrain.engine.workspace import Workspace

WHO: dict[str, Any] = {"client": "a test", "clock": now}


def test_code_of_its_own_is_for_a_person(asked: Workspace) -> None:
    review = looking.review(asked)
    question, first = review["question"], review["candidates"][0]["id"]
    insight = json.loads(asked.insight("v001").read_text())
    one = next(candidate for candidate in insight["candidates"] if candidate["id"] == first)
    one["operation"] = {"operation": "edit", "function": "loss_of", "body": "return 0"}
    asked.insight("v001").write_text(json.dumps(insight))
    with pytest.raises(InputError, match="writes code of its own, which is for a person"):
        deciding.decide(asked, question, "choose", first, **WHO)
    action = asked.drafts("v001").action
    action.write_text("```yaml\noperation: edit\nfunction: loss_of\nbody: |\n  return 0\n```\n")
    with pytest.raises(InputError, match="writes code of its own, which is for a person"):
        deciding.accept(asked, question, looking.review(asked)["shown"], **WHO)
    assert decisions.answer_to(asked, question) is None


def test_a_hint_has_one_line_and_an_end(asked: Workspace) -> None:
    question = looking.review(asked)["question"]
    with pytest.raises(InputError, match="at most 300 characters"):
        deciding.decide(asked, question, "redraft", hint="x" * 301, **WHO)
    with pytest.raises(InputError, match="redraft takes no candidate"):
        deciding.decide(asked, question, "redraft", "learning_rate_up", **WHO)
    deciding.decide(asked, question, "redraft", hint="smaller\x1b[31m\nsteps", **WHO)
    assert decisions.hints(asked) == ("smaller steps",)


def test_what_leaves_is_harmless() -> None:
    told = looking.harmless({"a\x1b[1m": ["\x00b", float("nan"), 1.5, True, None, ("x" * 200_000,)], "p": Workspace})
    assert told["a"][:5] == ["b", None, 1.5, True, None]
    assert told["a"][5][0].endswith("… (cut: 200,000 characters)")
    assert isinstance(told["p"], str)
    json.dumps(told, allow_nan=False)
