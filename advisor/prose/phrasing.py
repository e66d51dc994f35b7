"""The notation of the hand-written sentences: when one is true, and how it can be spelled. Keys stay in place."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Mapping

KEY = re.compile(r"@([a-z][a-z0-9_]*[a-z0-9])")
_CONDITIONS = re.compile(r"\[([^\]]*)\]\s*")
_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")

#: Keys that say what is talked about rather than what was measured: they may come again and again.
_NAMES = frozenset({"version", "previous", "best", "metric", "value", "epochs", "worst_class", "final_train_loss"})


def same_figures(one: str, other: str) -> bool:
    """Whether two sentences tell the same measured figure."""
    return bool((set(KEY.findall(one)) & set(KEY.findall(other))) - _NAMES)


def specific_first(sentences: Iterable[str], found: Mapping[str, str]) -> list[str]:
    """Where sentences for this very case hold, the general ones (without conditions) are not needed."""
    fitting = [text for text in sentences if holds(text, found)]
    special = [text for text in fitting if ":" in (_split(text)[0]) or "!" in _split(text)[0]]
    return special or [text for text in fitting if _split(text)[0]] or fitting


def _split(sentence: str) -> tuple[str, str]:
    match = _CONDITIONS.match(sentence)
    return (match[1], sentence[match.end() :]) if match else ("", sentence)


def holds(sentence: str, found: Mapping[str, str]) -> bool:
    """Whether its conditions are met and the facts that it always names are there."""
    conditions, text = _split(sentence)
    for condition in filter(None, conditions.split(",")):
        key, _, words = condition.partition(":")
        if key.startswith("!"):
            if key[1:] in found:
                return False
        elif key not in found or (words and found[key] not in words.split("/")):
            return False
    fixed = KEY.findall(_ALTERNATIVES.sub("", text))
    spellable = all(_alternatives(match[1], found) for match in _ALTERNATIVES.finditer(text))
    return spellable and all(key in found for key in fixed)


def _alternatives(group: str, found: Mapping[str, str]) -> list[str]:
    return [text for text in group.split("|") if all(key in found for key in KEY.findall(text))]


def spellings(sentence: str, found: Mapping[str, str] | None = None) -> list[str]:
    """All spellings of a sentence; with signals, those that name no missing fact."""
    text = _split(sentence)[1]
    # split with a group: fixed text, alternatives, fixed text, ...
    if found is None:
        found = dict.fromkeys(KEY.findall(text), "")
    parts = [
        _alternatives(part, found) if place % 2 else [part] for place, part in enumerate(_ALTERNATIVES.split(text))
    ]
    spelled = ("".join(chosen) for chosen in itertools.product(*parts))
    return [text[:1].upper() + text[1:] for text in spelled]


def spell(sentence: str, found: Mapping[str, str], rng: random.Random) -> str:
    """One of its spellings, the conditions taken off, the first letter large."""
    text = _ALTERNATIVES.sub(lambda match: rng.choice(_alternatives(match[1], found)), _split(sentence)[1])
    return text[:1].upper() + text[1:]
