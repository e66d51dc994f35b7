"""`user_instruction.md`: free text, of which some lines are understood as locks.

A lock that nobody meant is as bad as one that is missed. So a line counts only where a known name stands
directly in a phrase that forbids or fixes it; all else goes to the advisor and is shown as not enforced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from progtrain.engine.rules.instruction_names import Mention, mark_names
from progtrain.engine.rules.instruction_phrases import (
    FIX,
    FIX_ALONE,
    FORBID,
    MERE_NAMES,
    ONLY,
    ONLY_ALONE,
    VETO,
    Table,
    plain_names,
)
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
    found = _understand_below(opening, "batch size", probe=True)
    return bool(found.locks) or found.only is not None


def _understand_below(opening: str, line: str, probe: bool = False) -> InstructionLine:
    """A line of a list that only names things, read as if its opening stood in front of it."""
    head = re.sub(r"[*_`]{2,}", "", opening).rstrip(": ")
    for joined in (f"{head} {line}", f"{head}: {line}"):
        if len(_sentences(line)) == 1 and _is_mere_names(line):
            found = _understand(joined)
            if found.understood is not None:
                return InstructionLine(line, found.understood, found.locks, found.only)
    return InstructionLine(line)


def _is_mere_names(line: str) -> bool:
    marked, _ = mark_names(line)
    return MERE_NAMES.fullmatch(plain_names(marked.strip())) is not None


def _understand(line: str) -> InstructionLine:
    locks: set[str] = set()
    only: set[str] | None = None
    for sentence in _sentences(line):
        found = _sentence(sentence)
        locks |= found[0]
        if found[1] is not None:
            only = (only or set()) | found[1]
    said = []
    if locks:
        said.append("locked: " + ", ".join(sorted(locks)))
        if re.search(r"(?<!\w)\d", line):
            said.append("a value is set in training_config of user_defined_rules.json, not here")
    if only is not None:
        said.append("nothing may change but: " + ", ".join(sorted(only)))
    return InstructionLine(line, "; ".join(said) or None, frozenset(locks), None if only is None else frozenset(only))


_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|;|(?<!thing)(?<!else)\s+(?:but|however|though)\s+")


def _sentences(line: str) -> list[str]:
    plain = re.sub(r"\*\*|__(?=\s|$)|(?<=\s)__|\*", "", line).replace("’", "'")
    return [part for part in _SENTENCE_END.split(plain) if part.strip()]


def _sentence(sentence: str) -> tuple[set[str], set[str] | None]:
    """(what it locks, what alone it allows or None)."""
    text, mentions = mark_names(sentence)
    text = plain_names(re.sub(r"\s+", " ", text).strip())
    if not mentions or VETO.search(text):
        return set(), None
    only = {lock for table in (ONLY, ONLY_ALONE) for m in _mentions(table, text, mentions) for lock in m.fixed}
    locks = {lock for table in (FIX, FIX_ALONE) for m in _mentions(table, text, mentions) for lock in m.fixed}
    locks |= {lock for m in _mentions(FORBID, text, mentions) for lock in m.forbidden}
    return locks - only, only or None


def _mentions(table: Table, text: str, mentions: list[Mention]) -> Iterator[Mention]:
    if not re.search(table.needs, text):
        return
    for pattern in table.patterns:
        for match in pattern.finditer(text):
            for number in re.findall(r"<(\d+)>", match["names"]):
                yield mentions[int(number)]
