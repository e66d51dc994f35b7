"""Signs that a sentence is none: words said twice, an end in the middle, brackets left open.

What the bundled model writes is put together from whole sentences; this is for models that write freely.
"""

from __future__ import annotations

import re
from collections import Counter

#: Also a key twice; but "@epochs epochs" is right.
_TWICE = re.compile(r"(?<![\w@])(@?\w{2,})(?:[\s,]+\1(?!\w))+", re.IGNORECASE)
#: The same word so often in one sentence is a model going round in circles.
_MOST = 3
_LOOSE_END = re.compile(r"\b(?:a|an|the|of|and|or|but|by|its|their|because|while)\s*[.,;:!?]?$", re.IGNORECASE)
_STUTTER = re.compile(r"[,;:]\s*[,;:.]|[.!?]{4,}")
#: Sections that are told in sentences; the next focus is told in a few words a line.
_FEWEST_WORDS = 3


def problem(sentence: str, *, phrase: bool = False) -> str | None:
    """Why it does not read as a sentence (or, for a phrase, as one); None when it does."""
    words = re.findall(r"@?[A-Za-z_][\w'-]*", sentence)
    if match := _TWICE.search(sentence):
        return f'it says "{match[1]}" twice in a row'
    often = Counter(word.lower() for word in words if len(word) > 3).most_common(1)
    if often and often[0][1] > _MOST:
        return f'it says "{often[0][0]}" again and again'
    if again := _twice_over(words):
        return f'it says "{again}" twice'
    if _LOOSE_END.search(sentence):
        return "it ends in the middle"
    if sentence.count("(") != sentence.count(")") or _STUTTER.search(sentence):
        return "its punctuation does not add up"
    if not phrase and len(words) < _FEWEST_WORDS:
        return "it is too short for a sentence"
    return None


def _twice_over(words: list[str]) -> str | None:
    """Three words in a row that come again in the same sentence."""
    rows = [" ".join(words[at : at + 3]).lower() for at in range(len(words) - 2)]
    return next((row for row, count in Counter(rows).items() if count > 1), None)
