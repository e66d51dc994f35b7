"""Answers are files, made once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from progtrain.engine.clock import now
from progtrain.engine.control import decisions
from progtrain.engine.errors import InputError
from progtrain.engine.schema import Decision
from progtrain.engine.workspace import Workspace


def _decision(question: str = "v001-review-1-abc", **fields: object) -> Decision:
    return Decision.model_validate({"question": question, "answer": "accept", "at": now(), **fields})


def test_an_answer_is_read_back(ws: Workspace) -> None:
    decisions.decide(ws, _decision(hint="classes 3 and 8"))
    found = decisions.answer_to(ws, "v001-review-1-abc")
    assert found is not None and found.hint == "classes 3 and 8"
    assert decisions.answer_to(ws, "another") is None
    assert [path.name for path in ws.inbox.iterdir()] == ["v001-review-1-abc.json"]


def test_of_two_who_answer_at_once_one_is_told(ws: Workspace) -> None:
    def answer(name: str) -> bool:
        try:
            decisions.decide(ws, _decision(by=name))
        except InputError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(answer, "abcdefgh")) == 1


def test_an_answered_question_cannot_be_answered_again(ws: Workspace) -> None:
    decisions.decide(ws, _decision())
    with pytest.raises(InputError, match="answered already"):
        decisions.decide(ws, _decision())


def test_hints_are_remembered_oldest_first(ws: Workspace) -> None:
    decisions.decide(ws, _decision("q2", hint="second", at="2026-01-02T00:00:00+00:00"))
    decisions.decide(ws, _decision("q1", hint="first", at="2026-01-01T00:00:00+00:00"))
    assert decisions.hints(ws) == ("first", "second")
