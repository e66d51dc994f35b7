"""Puts the briefing to a model so that prompt and answer fit into its context."""

from __future__ import annotations

from typing import NamedTuple

from progtrain.advisor.interface import Briefing
from progtrain.advisor.llama import chat
from progtrain.advisor.llama.model import Model, ModelError
from progtrain.advisor.prose import instruct, prompts

#: Tokens kept free for the answer of the bundled model, and the least that it can do with.
_ROOM, _LEAST_ROOM = 512, 64


class _Way(NamedTuple):
    """One way to put the briefing to a model that was not trained on ours."""

    example: bool
    short: bool
    options: int
    #: facts that must be left
    facts: int
    #: tokens that must be free for the answer
    room: int


_ALL = 1000
#: From the whole briefing to what fits into 1024 tokens, the least important going first.
_WAYS = (
    _Way(example=True, short=False, options=prompts.OFFERED, facts=_ALL, room=1024),
    _Way(example=False, short=False, options=prompts.OFFERED, facts=_ALL, room=1024),
    _Way(example=False, short=False, options=prompts.OFFERED, facts=24, room=640),
    _Way(example=False, short=True, options=prompts.OFFERED, facts=16, room=512),
    _Way(example=False, short=True, options=6, facts=12, room=448),
    _Way(example=False, short=True, options=6, facts=6, room=384),
)


def fit(model: Model, briefing: Briefing, limit: int, *, native: bool) -> tuple[Briefing, chat.Prompt, list[str]]:
    """Says less, the least important first, until prompt and answer fit into `limit` tokens. Notes say what went.

    Raises `ModelError` when even the least does not fit.
    """
    fitted, asked, told, room = (_own_way if native else _some_way)(model, briefing, limit)
    if len(asked.tokens) + room > limit:
        need = f"{len(asked.tokens)} tokens, and {room} for the answer"
        raise ModelError(f"a context of {limit} tokens is too small for the briefing ({need})")
    notes = [f"{told} to fit {limit} tokens of context"] if told else []
    return fitted, asked, [*notes, *filter(None, (asked.note,))]


def room_for_answer(*, native: bool) -> int:
    """Tokens, where the context is as large as wanted."""
    return _ROOM if native else _WAYS[0].room


def _own_way(model: Model, briefing: Briefing, limit: int) -> tuple[Briefing, chat.Prompt, str, int]:
    """As the bundled model was trained: facts alone are left out."""

    def ask(shorter: Briefing) -> chat.Prompt:
        return chat.prompt(model, [{"role": "user", "content": prompts.render(shorter)}])

    fitted, dropped = prompts.shorten(briefing, lambda b: len(ask(b).tokens) + _ROOM <= limit)
    return fitted, ask(fitted), _left_out(dropped), _LEAST_ROOM


def _some_way(model: Model, briefing: Briefing, limit: int) -> tuple[Briefing, chat.Prompt, str, int]:
    for way in _WAYS:
        fewer = briefing.model_copy(update={"options": prompts.offered(briefing, way.options)})

        def ask(shorter: Briefing, way: _Way = way) -> chat.Prompt:
            return chat.prompt(model, instruct.messages(shorter, example=way.example, short=way.short))

        def fits(shorter: Briefing, way: _Way = way) -> bool:
            return len(ask(shorter, way).tokens) + way.room <= limit

        fitted, dropped = prompts.shorten(fewer, fits, way.facts)
        if fits(fitted):
            break
    told = _left_out(dropped)
    if way.short:
        told = ", ".join(filter(None, ("meanings and reasons were left out", told)))
        gone = len(briefing.options) - len(fitted.options)
        told += f", and {gone} of the candidates are not in the choice" if gone else ""
    return fitted, ask(fitted), told, way.room


def _left_out(dropped: int) -> str:
    return f"{dropped} of the less important facts were left out" if dropped else ""
