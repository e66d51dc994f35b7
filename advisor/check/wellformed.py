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


#: Small words that tell English from its neighbours; what two of the languages share is left out.
_ENGLISH = frozenset(
    re.findall(
        r"\w+",
        "the of is are was were to and by with for at than that this it its from not be after before should would too"
        " which more while has have only",
    )
)
_OTHER = frozenset(
    re.findall(
        r"\w+",
        "der das und ist nicht ein eine einen zu mit von für auf wird werden sind bei nach über durch noch aber"
        " le les des une est pas dans pour avec sur qui que sont plus aux cette mais très"
        " el los las es con del muy como pero esta este una por más il della che sono questa"
        " uma não para com dos het een van niet met voor",
    )
)
#: Letters beyond the Latin ones; Greek stays, since sciences write with it.
_OTHER_LETTERS = re.compile(r"[\u0400-\u1cff\u2c00-\ud7ff\uf900-\ufeff]")


def problem(sentence: str, *, phrase: bool = False) -> str | None:
    """Why it does not read as a sentence (or, for a phrase, as one); None when it does."""
    if _is_foreign(sentence):
        return "it is not in English"
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


def _is_foreign(sentence: str) -> bool:
    words = re.findall(r"(?<!@)\b[^\W\d_]+\b", sentence.lower())
    other = sum(word in _OTHER for word in words)
    return bool(_OTHER_LETTERS.search(sentence)) or (other > 1 and other > sum(word in _ENGLISH for word in words))


def _twice_over(words: list[str]) -> str | None:
    """Three words in a row that come again in the same sentence."""
    rows = [" ".join(words[at : at + 3]).lower() for at in range(len(words) - 2)]
    return next((row for row, count in Counter(rows).items() if count > 1), None)
