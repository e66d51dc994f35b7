"""What an agent may answer, where the user lets it: another candidate, another draft, or yes to what was drafted.

The same files and the same checks as for a person. Questions about files and repairs are for people alone, and nothing
here starts a loop: an answer lies in the inbox until the user lets the loop go on.
"""

from __future__ import annotations

from typing import Any, Literal

from progtrain.engine.agents.looking import as_it_is_now, open_question
from progtrain.engine.analysis.action_file import parse_action
from progtrain.engine.clock import Clock
from progtrain.engine.control import decisions
from progtrain.engine.control.journal import Journal
from progtrain.engine.drafting import code_edit, history, next_script
from progtrain.engine.errors import InputError
from progtrain.engine.files import read_text, sha256_text
from progtrain.engine.rules import rules
from progtrain.engine.schema import Decision, Review
from progtrain.engine.script.action.code_edit import EditOperation
from progtrain.engine.text import shortened
from progtrain.engine.workspace import Workspace

#: how the answer says that no person gave it
BY = "mcp"
_MOST_HINT = 300
_THEN = "written; the loop takes it up when the user starts it again: progtrain run"


def decide(
    ws: Workspace,
    question: str,
    answer: Literal["choose", "redraft"],
    candidate: str = "",
    hint: str = "",
    *,
    client: str,
    clock: Clock,
) -> dict[str, Any]:
    """Answer the open review: `choose` drafts the action of another candidate, `redraft` has the advisor draft again
    (`hint`: what it should think of). A person accepts what comes of it."""
    asked = _asked(ws, question)
    if answer == "choose":
        _refuse_unless_allowed(ws, asked, candidate)
    elif candidate:
        raise InputError("redraft takes no candidate", fix="choose takes one")
    if len(hint) > _MOST_HINT or (hint and answer == "choose"):
        raise InputError(
            f"a hint goes with redraft, and has at most {_MOST_HINT} characters", fix="say it in fewer words"
        )
    told = shortened(hint, _MOST_HINT)
    fields = {"candidate": candidate or None, "hint": told or None}
    return _write(ws, asked, "decide", client, clock, answer=answer, **fields)


def accept(ws: Workspace, question: str, shown: str, *, client: str, clock: Clock) -> dict[str, Any]:
    """Accept what is drafted. `shown` is that of `review`: nothing is accepted that was not read as it is now."""
    asked = _asked(ws, question)
    path = ws.drafts(asked.version).action
    if path.is_file() and isinstance(parse_action(read_text(path), path).operation, EditOperation):
        raise _code("the drafted action")
    now = as_it_is_now(ws, asked)
    if now is None or now.problems:
        why = "; ".join(now.problems) if now else "the drafted action is gone"
        raise InputError(f"refused: {why}", fix="choose another candidate, or redraft")
    if shown != sha256_text(now.diff):
        raise InputError("this is not what would be written now", fix="read review again, and accept what it shows")
    return _write(ws, asked, "accept", client, clock, answer="accept", shown=shown)


def _asked(ws: Workspace, question: str) -> Review:
    asked = open_question(ws)
    if question != asked.question:
        fix = f"the open question is {asked.question}"
        raise InputError(f"{shortened(question[:200], 60)!r} is not the open question", fix=fix)
    if asked.kind != "review":
        raise InputError(
            f"a question of this kind ({asked.kind}) is for a person", fix="ask the user: progtrain review"
        )
    return asked


def _refuse_unless_allowed(ws: Workspace, asked: Review, candidate: str) -> None:
    """The rules may have changed since it was offered. Raises `InputError` with what forbids it."""
    ids = [card.id for card in asked.candidates]
    insight = history.read_insight(ws, asked.version)
    found = insight.candidate(candidate) if insight and candidate in ids else None
    if found is None:
        told = f"there is no candidate {shortened(candidate[:200], 60)!r}"
        raise InputError(told, fix=f"choose one of: {', '.join(ids) or 'none'}")
    if code_edit.is_edit(found):
        raise _code(candidate)
    next_script.plan(ws, rules.load(ws), asked.version, found.operation, base=found.base)


def _code(what: str) -> InputError:
    return InputError(f"{what} writes code of its own, which is for a person", fix="choose another candidate")


def _write(ws: Workspace, asked: Review, tool: str, client: str, clock: Clock, **answer: Any) -> dict[str, Any]:
    decisions.decide(ws, Decision.model_validate({"question": asked.question, "by": BY, "at": clock(), **answer}))
    told = {key: value for key, value in answer.items() if value is not None and key != "shown"}
    Journal(ws.journal, clock).write(
        "mcp_call", tool=tool, client=client, question=asked.question, version=asked.version, **told
    )
    return {"source": ws.relative(ws.decision(asked.question)), "question": asked.question, **told, "then": _THEN}
