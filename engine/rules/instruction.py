"""`user_instruction.md`: free text, of which some lines are understood as locks.

A lock that nobody meant is as bad as one that is missed. So a line counts only where a known name stands
directly in a phrase that forbids or fixes it; all else goes to the advisor and is shown as not enforced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from progtrain.engine.rules import instruction_phrases as phrases
from progtrain.engine.rules.instruction_names import mark_names
from progtrain.engine.rules.locks import Instruction, InstructionLine


def read(text: str) -> Instruction:
    return Instruction(tuple(_lines(text)))


_FENCE = re.compile(r"^\s*(```|~~~)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
#: what `progtrain init` writes for the user to go on with
TEMPLATE = """\
# What matters here

Write in your own words what the loop should keep to. Lines like these become locks:

<!--
- Never change the batch size.
- Keep the optimizer.
-->
"""
#: the lines of it outside the comment: nobody's own words
_OF_TEMPLATE = frozenset(_COMMENT.sub("", TEMPLATE).splitlines())
_BULLET = re.compile(r"^(?:[-*+•]|\d+[.)])\s+(?:\[[ xX]\]\s+)?")


def _lines(text: str) -> Iterator[InstructionLine]:
    """Headings and lines that end in a colon give the list below them its meaning."""
    opening, opening_used, fenced = "", True, False
    for raw in _COMMENT.sub("", text.removeprefix("\ufeff")).splitlines():
        if raw.strip() in _OF_TEMPLATE:
            continue
        line = raw.strip().lstrip("> ").strip()
        if _FENCE.match(raw) or not line:
            fenced ^= bool(_FENCE.match(raw))
            continue
        heading, bullet = line.startswith("#") and not fenced, bool(_BULLET.match(line))
        line = _BULLET.sub("", line.strip("# ") if heading else line).strip()
        if not line or set(line) <= set("-=*_"):
            continue
        if heading or line.endswith(":"):
            if not opening_used and _reads_as_lock(opening):
                yield InstructionLine(opening)
            opening, opening_used = line.rstrip(": "), heading and not _reads_as_lock(line)
            if not heading and not _reads_as_lock(line):
                yield InstructionLine(line)
            continue
        if not bullet and opening_used:
            opening = ""
        understood = _understand(line)
        if understood.understood is None and opening:
            understood = _understand_below(opening, line)
        opening_used |= understood.understood is not None
        yield understood
    if not opening_used and _reads_as_lock(opening):
        yield InstructionLine(opening)


def _reads_as_lock(opening: str) -> bool:
    """Whether names below it would be locked: tried with a name that is surely known."""
    return _understand_below(opening, "batch size").understood is not None


def _understand_below(opening: str, line: str) -> InstructionLine:
    """A line of a list that only names things, read as if its opening stood in front of it."""
    head = re.sub(r"[*_`]{2,}", "", opening).rstrip(": ")
    if len(_sentences(line)) == 1 and _is_mere_names(line):
        for joined in (f"{head} {line}", f"{head}: {line}"):
            found = _understand(joined)
            if found.understood is not None:
                return replace(found, text=line)
    return InstructionLine(line)


def _is_mere_names(line: str) -> bool:
    marked, _ = mark_names(line)
    return phrases.MERE_NAMES.fullmatch(phrases.plain_names(marked.strip())) is not None


def _understand(line: str) -> InstructionLine:
    found = [_sentence(sentence) for sentence in _sentences(line)]
    locks, only = (frozenset[str]().union(*sets) for sets in zip(*found, strict=True)) if found else ((), ())
    said = []
    if locks:
        said.append("locked: " + ", ".join(sorted(locks)))
        if re.search(r"(?<!\w)\d", line):
            said.append("a value is set in training_config of user_defined_rules.json, not here")
    if only:
        said.append("nothing may change but: " + ", ".join(sorted(only)))
    return InstructionLine(line, "; ".join(said) or None, frozenset(locks), frozenset(only) or None)


_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|;|(?<!thing)(?<!else)\s+(?:but|however|though)\s+")


def _sentences(line: str) -> list[str]:
    plain = re.sub(r"\*\*|__(?=\s|$)|(?<=\s)__|\*", "", line).replace("’", "'")
    return [part for part in _SENTENCE_END.split(plain) if part.strip()]


def _sentence(sentence: str) -> tuple[set[str], set[str]]:
    """What it locks, and what alone it allows."""
    text, mentions = mark_names(sentence)
    text = phrases.plain_names(re.sub(r"\s+", " ", text).strip())
    if not mentions or phrases.VETO.search(text):
        return set(), set()

    def locks(lists: Iterable[str], forbids: bool = False) -> set[str]:
        numbers = [int(number) for names in lists for number in re.findall(r"<(\d+)>", names)]
        return {lock for number in numbers for lock in mentions[number][forbids]}

    only = locks(phrases.singled_out(text))
    return (locks(phrases.fixed(text)) | locks(phrases.forbidden(text), forbids=True)) - only, only
