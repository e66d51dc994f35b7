"""Asks a model for code: free prose first, then one function, whole. What it writes is checked by whoever asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from progtrain.advisor.interface import Briefing, Code, Proposal, Settings
from progtrain.advisor.llama import chat
from progtrain.advisor.llama.model import Model, ModelError
from progtrain.advisor.llama.session import Session, seeded
from progtrain.advisor.prose import instruct, prompts

Emit = Callable[[dict[str, Any]], None]

#: Tokens for prose and code together, and the least that is worth asking with.
_ROOM, _LEAST_ROOM = 1536, 384
#: A model that has not begun its code by then writes something else.
_PROSE_TOKENS = 400
_TEMPERATURE = 0.3
_FENCE = re.compile(r"^ {0,3}(```|~~~)", re.MULTILINE)

_INSTRUCTIONS = f"""\
You are a senior machine-learning engineer. You get the facts about one training run and its script. \
Propose another body for exactly one function of the script, so that the next run is likely to come out better.

Rules:
- First say in at most four short sentences what you would change and why. \
Never write a number there: write the key of a fact, such as @gap.
- Then write that one function, whole, in one block that begins with ```python and ends with ```. \
The same name, the same parameters. Nothing follows the block.
- In a method's block, the first line is a comment with its class: # Net.forward
- Use only what the script imports and defines. No imports, files, processes, paths or seeds.
- Keep every self.log call. Leave alone what is locked.
- If no change of code is likely to help, answer {instruct.NOTHING}."""


class Proposer:
    """One proposal. Raises `ModelError` when the script does not fit into the model's context."""

    def __init__(self, model: Model, briefing: Briefing, code: Code, settings: Settings, emit: Emit) -> None:
        self._model = model
        self._settings = settings
        self._emit = emit
        self._notes: list[str] = []
        self._limit = settings.context_tokens or model.trained_context
        self._prompt = self._fitted(briefing.model_copy(update={"options": ()}), code)

    def write(self, author: str, sha256: str) -> Proposal:
        room = min(_ROOM, self._limit - len(self._prompt.tokens))
        session = Session(
            self._model, self._settings, len(self._prompt.tokens) + room, lambda: self._emit({"event": "alive"})
        )
        try:
            session.feed(self._prompt.tokens)
            text = ""
            for count, piece in enumerate(session.write(seeded(self._settings.seed), room, None, _TEMPERATURE)):
                text += piece
                if _finished(text) or (count > _PROSE_TOKENS and not _FENCE.search(text)):
                    break
        finally:
            session.close()
        return Proposal(
            author=author,
            model_sha256=sha256,
            text=text,
            prompt=self._prompt.text,
            seed=self._settings.seed,
            notes=tuple(self._notes),
        )

    def _fitted(self, briefing: Briefing, code: Code) -> chat.Prompt:
        """The whole script, else the functions alone, else the first of them; then that with fewer facts."""
        for shown, part in _parts(code):
            asked = self._asked(briefing, part, shown)
            if self._fits(asked):
                if shown != code.source:
                    self._notes.append(_told(self._limit, part))
                return asked
        shorter, _ = prompts.shorten(briefing, lambda b: self._fits(self._asked(b, part, shown)))
        asked = self._asked(shorter, part, shown)
        if self._fits(asked):
            self._notes.append(_told(self._limit, part))
            return asked
        raise ModelError(
            f"a context of {self._limit} tokens is too small for the script ({len(asked.tokens)} tokens at the least)"
        )

    def _asked(self, briefing: Briefing, code: Code, shown: str) -> chat.Prompt:
        return chat.prompt(self._model, _messages(briefing, code, shown))

    def _fits(self, asked: chat.Prompt) -> bool:
        return len(asked.tokens) + _LEAST_ROOM <= self._limit


def _told(limit: int, code: Code) -> str:
    return f"to fit {limit} tokens of context, the model was shown {', '.join(code.functions)} alone"


def _parts(code: Code) -> Iterator[tuple[str, Code]]:
    yield code.source, code
    names = list(code.functions)
    while names:
        part = code.model_copy(update={"functions": {name: code.functions[name] for name in names}})
        yield "\n\n\n".join(part.functions.values()), part
        names = names[: len(names) // 2]


def _messages(briefing: Briefing, code: Code, shown: str) -> list[chat.Message]:
    names = ", ".join(code.functions)
    question = (
        f"{instruct.render_full(briefing)}\n\nFUNCTIONS THAT MAY BE REWRITTEN\n{names}\n\n"
        f"SCRIPT\n```python\n{prompts.without_control(shown)}\n```"
    )
    return [{"role": "system", "content": _INSTRUCTIONS}, {"role": "user", "content": question}]


def _finished(text: str) -> bool:
    """Whether a block was opened and closed, or nothing is to be changed."""
    return len(_FENCE.findall(text)) > 1 or text.strip().startswith(instruct.NOTHING)
