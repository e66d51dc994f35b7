"""Asks a model for code: free prose first, then one function, whole. What it writes is checked by whoever asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from progtrain.advisor.interface import Briefing, Settings
from progtrain.advisor.llama import chat
from progtrain.advisor.llama.model import Model, ModelError
from progtrain.advisor.llama.session import Session, seeded
from progtrain.advisor.prose import instruct, prompts

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


def propose(
    model: Model,
    briefing: Briefing,
    source: str,
    functions: dict[str, str],
    settings: Settings,
    alive: Callable[[], None],
) -> tuple[str, chat.Prompt, tuple[str, ...]]:
    """What the model writes, as it is, what it was asked with, and notes. `functions`: names and texts of those that
    may get another body, the likeliest first.

    Raises `ModelError` when the script does not fit into the model's context.
    """
    limit = settings.context_tokens or model.trained_context
    asked, notes = _fitted(model, briefing.model_copy(update={"options": ()}), source, functions, limit)
    room = min(_ROOM, limit - len(asked.tokens))
    session = Session(model, settings, len(asked.tokens) + room, alive)
    text = ""
    try:
        session.feed(asked.tokens)
        for count, piece in enumerate(session.write(seeded(settings.seed), room, None, _TEMPERATURE)):
            text += piece
            if _finished(text) or (count > _PROSE_TOKENS and not _FENCE.search(text)):
                break
    finally:
        session.close()
    return text, asked, notes


def _fitted(
    model: Model, briefing: Briefing, source: str, functions: dict[str, str], limit: int
) -> tuple[chat.Prompt, tuple[str, ...]]:
    """The whole script, else the functions alone, else the first of them; then that with fewer facts."""

    def ask(told: Briefing) -> chat.Prompt:
        return chat.prompt(model, _messages(told, names, shown))

    def fits(told: Briefing) -> bool:
        return len(ask(told).tokens) + _LEAST_ROOM <= limit

    for part in _parts(source, functions):
        shown, names = part
        if fits(briefing):
            break
    else:
        briefing, _ = prompts.shorten(briefing, fits)
    asked = ask(briefing)
    if not fits(briefing):
        raise ModelError(
            f"a context of {limit} tokens is too small for the script ({len(asked.tokens)} tokens at the least)"
        )
    told = f"to fit {limit} tokens of context, the model was shown {', '.join(names)} alone"
    return asked, () if shown == source else (told,)


def _parts(source: str, functions: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """What of the script can be shown, and the functions in it."""
    names = list(functions)
    yield source, names
    while names:
        yield "\n\n\n".join(functions[name] for name in names), names
        names = names[: len(names) // 2]


def _messages(briefing: Briefing, names: Iterable[str], shown: str) -> list[chat.Message]:
    question = (
        f"{instruct.render_full(briefing)}\n\nFUNCTIONS THAT MAY BE REWRITTEN\n{', '.join(names)}\n\n"
        f"SCRIPT\n```python\n{prompts.clean_text(shown)}\n```"
    )
    return [{"role": "system", "content": _INSTRUCTIONS}, {"role": "user", "content": question}]


def _finished(text: str) -> bool:
    """Whether a block was opened and closed, or nothing is to be changed."""
    return len(_FENCE.findall(text)) > 1 or text.strip().startswith(instruct.NOTHING)
