"""Puts the briefing to a model so that prompt and answer fit into its context."""

from __future__ import annotations

from progtrain.advisor.interface import Briefing
from progtrain.advisor.llama import chat
from progtrain.advisor.llama.model import Model, ModelError
from progtrain.advisor.prose import instruct, prompts

#: Tokens kept free for the answer of the bundled model, and the least that it can do with.
_ROOM, _LEAST_ROOM = 512, 64


_ALL = 1000
#: Ways to put the briefing to a model that was not trained on ours, from all of it to what fits into 1024 tokens, the
#: least important going first: with the example, in few words, options, facts that must be left, tokens for the answer.
_WAYS = (
    (True, False, prompts.OFFERED, _ALL, 1024),
    (False, False, prompts.OFFERED, _ALL, 1024),
    (False, False, prompts.OFFERED, 24, 640),
    (False, True, prompts.OFFERED, 16, 512),
    (False, True, 6, 12, 448),
    (False, True, 6, 6, 384),
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
    return _ROOM if native else _WAYS[0][-1]


def _own_way(model: Model, briefing: Briefing, limit: int) -> tuple[Briefing, chat.Prompt, str, int]:
    """As the bundled model was trained: facts alone are left out."""

    def ask(shorter: Briefing) -> chat.Prompt:
        return chat.prompt(model, [{"role": "user", "content": prompts.render(shorter)}])

    fitted, dropped = prompts.shorten(briefing, lambda b: len(ask(b).tokens) + _ROOM <= limit)
    return fitted, ask(fitted), _left_out(dropped), _LEAST_ROOM


def _some_way(model: Model, briefing: Briefing, limit: int) -> tuple[Briefing, chat.Prompt, str, int]:
    def ask(shorter: Briefing) -> chat.Prompt:
        return chat.prompt(model, instruct.messages(shorter, example=example, short=short))

    def fits(shorter: Briefing) -> bool:
        return len(ask(shorter).tokens) + room <= limit

    for way in _WAYS:
        example, short, options, facts, room = way
        fewer = briefing.model_copy(update={"options": prompts.offered(briefing, options)})
        fitted, dropped = prompts.shorten(fewer, fits, facts)
        if fits(fitted):
            break
    told = _left_out(dropped)
    if short:
        told = ", ".join(filter(None, ("meanings and reasons were left out", told)))
        gone = len(briefing.options) - len(fitted.options)
        told += f", and {gone} of the candidates are not in the choice" if gone else ""
    return fitted, ask(fitted), told, room


def _left_out(dropped: int) -> str:
    return f"{dropped} of the less important facts were left out" if dropped else ""
