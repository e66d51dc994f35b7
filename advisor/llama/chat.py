"""A conversation as tokens, by the chat template that the file carries.

The template's own text may hold control tokens; what was said may not: both are tokenised apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from progtrain.advisor.llama import machine

if TYPE_CHECKING:
    from progtrain.advisor.llama.model import Model

Message = dict[str, str]
_THOUGHT = "</think>"
#: bytes that a template may take, and characters that it may write around what was said
_MEMORY, _LONGEST = 256 << 20, 1 << 20
_RAISED = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError)
_PLACE = "PLACEHOLDER{}PLACEHOLDER"
#: Marks what was said by the model, for whoever trains it; here it means nothing.
_GENERATION = re.compile(r"\{%([-+]?)\s*(?:end)?generation\s*([-+]?)%\}")
_PLACES = re.compile(r"PLACEHOLDER(\d+)PLACEHOLDER")


@dataclass(frozen=True)
class Prompt:
    tokens: list[int]
    text: str
    #: what the user should know about how the model was asked
    note: str | None = None


def prompt(model: Model, messages: Sequence[Message]) -> Prompt:
    """Up to where the answer begins."""
    template = model.chat_template
    if template is None:
        note = "the file carries no chat template: the model was asked in plain text"
        return _joined(model, _plain_text(messages), messages, note)
    tried = [list(messages)]
    if messages[0]["role"] == "system":
        # several templates know no system role
        merged = f"{messages[0]['content']}\n\n{messages[1]['content']}"
        tried.append([{"role": "user", "content": merged}, *messages[2:]])
    for conversation in tried:
        try:
            return _joined(model, _rendered(model, template, conversation), conversation, None)
        except _RAISED as error:
            reason = str(error)
    note = f"the file's chat template could not be used ({reason}): the model was asked in plain text"
    return _joined(model, _plain_text(messages), messages, note)


def _rendered(model: Model, template: str, messages: Sequence[Message]) -> str:
    def fail(text: str) -> str:
        raise TemplateError(text)

    # the template comes with the file: it gets no way out of its sandbox
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    values: dict[str, Any] = {
        "messages": [{"role": m["role"], "content": _PLACE.format(i)} for i, m in enumerate(messages)],
        "bos_token": model.text_of(model.bos),
        "eos_token": model.text_of(model.eos),
        "add_generation_prompt": True,
        "enable_thinking": False,
        "raise_exception": fail,
        # a fixed date: the same facts give the same prompt
        "strftime_now": lambda _format: "",
    }
    with machine.little_memory(_MEMORY):
        try:
            text = environment.from_string(_GENERATION.sub(r"{#\1 \2#}", template)).render(values)
        except MemoryError:
            raise TemplateError("it takes too much memory") from None
    if len(text) > _LONGEST:
        raise TemplateError("it writes too much")
    if len(_PLACES.findall(text)) != len(messages):
        raise TemplateError("it leaves out a part of the conversation")
    # some open a block for thoughts: what is asked for here is the answer
    return f"{text.rstrip()}\n\n{_THOUGHT}\n\n" if text.rstrip().endswith(f"<{_THOUGHT[2:]}") else text


def _plain_text(messages: Sequence[Message]) -> str:
    titles = {"system": "", "user": "### Question\n", "assistant": "### Answer\n"}
    parts = [titles[m["role"]] + _PLACE.format(i) for i, m in enumerate(messages)]
    return "\n\n".join([*parts, titles["assistant"]])


def _joined(model: Model, text: str, messages: Sequence[Message], note: str | None) -> Prompt:
    tokens: list[int] = []
    # split with a group: text, place, text, place, ...
    for place, part in enumerate(_PLACES.split(text)):
        if place % 2:
            tokens += model.tokens(messages[int(part)]["content"])
        elif part:
            tokens += model.tokens(part, special=True)
    if model.adds_bos and tokens[:1] != [model.bos]:
        tokens.insert(0, model.bos)
    whole = _PLACES.sub(lambda match: messages[int(match[1])]["content"], text)
    return Prompt(tokens, whole, note)
