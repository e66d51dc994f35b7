"""Puts sentences of the hand-written banks together for a briefing, keys still in place.

Used by the rules, which take what fits best, and by the recipe that trains the bundled model, which draws at random.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Mapping, Sequence

from advisor import wording
from advisor.interface import Briefing
from advisor.prompts import signals

KEY = re.compile(r"@([a-z][a-z0-9_]*[a-z0-9])")
_CONDITIONS = re.compile(r"\[([^\]]*)\]\s*")
_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")

#: Keys that say what is talked about rather than what was measured: they may come again and again.
_NAMES = frozenset({"version", "previous", "best", "metric", "value", "epochs", "worst_class", "final_train_loss"})

#: How many sentences of a section, at least and at most.
_COUNTS = {"deltas": (1, 3), "evidence": (2, 4), "hypotheses": (2, 3), "focus": (2, 3)}


class Writer:
    """Draws sentences that are true for one briefing, none twice."""

    def __init__(self, briefing: Briefing, chance: random.Random, *, first_fits: bool = False) -> None:
        self.briefing = briefing
        self.signals = signals(briefing)
        self._chance = chance
        #: take sentences in the order in which they were written instead of at random
        self._first_fits = first_fits
        self._said: set[str] = set()

    def before(self) -> dict[str, list[str]]:
        """The sections up to the choice."""
        results = wording.results()
        names = [f.id for f in sorted(self.briefing.findings, key=lambda f: -f.strength) if f.id in wording.findings()]
        leads = [wording.findings()[name].summary for name in names[:2] or ["healthy"]]
        summary = self.pick(_specific_first(results.summary, self.signals), 1)
        for lead in leads:
            summary += self.pick(lead, 1)
        if self._chance.random() < 0.5 and "best version" not in summary[0]:
            summary += self.pick(results.outlook, 1)
        deltas = self.pick(_specific_first(results.deltas, self.signals), self._count("deltas"))
        return {
            "summary": summary,
            "deltas": deltas or list(results.no_deltas),
            "evidence": self._mixed(names, "evidence", results.evidence, self._count("evidence")),
            "hypotheses": self._mixed(names, "hypotheses", (), self._count("hypotheses")),
            "focus": self._mixed(names, "focus", (), self._count("focus")),
        }

    def after(self, option: str) -> dict[str, list[str]]:
        """The sections that follow the choice of `option`."""
        other, words = wording.other(), wording.action(option, self.briefing.version)
        return {
            "goal": self._first_of(words.goal, other.goal),
            "impact": self._first_of(words.impact, other.impact),
            "risk": self._first_of(words.risk, other.risk),
            "verification": self._first_of(words.verification, other.verification),
        }

    def pick(self, sentences: Iterable[str], count: int) -> list[str]:
        """Up to `count` sentences that hold, spelled out."""
        fitting = [text for text in sentences if text not in self._said and holds(text, self.signals)]
        if not self._first_fits:
            self._chance.shuffle(fitting)
        chosen: list[str] = []
        for text in fitting:
            if len(chosen) < count and not any(same_figures(text, other) for other in chosen):
                chosen.append(text)
        self._said.update(chosen)
        return [spell(text, self.signals, self._chance) for text in chosen]

    def _mixed(self, findings: Sequence[str], part: str, general: Sequence[str], count: int) -> list[str]:
        """Most from the first finding, then from the others, then what stands for itself."""
        found: list[str] = []
        names = list(findings[:3]) or ["healthy"]
        for place, name in enumerate(names):
            wanted = max(1, count - (len(names) - 1)) if place == 0 else 1
            found += self.pick(getattr(wording.findings()[name], part), min(wanted, count - len(found)))
        rest = [text for text in general if not any(same_figures(text, other) for other in found)]
        found += self.pick(rest, count - len(found))
        if not found:
            found = self.pick(getattr(wording.findings()["healthy"], part), 1)
        return found

    def _first_of(self, own: Sequence[str], general: Sequence[str]) -> list[str]:
        return self.pick(own, 1) or self.pick(general, 1)

    def _count(self, section: str) -> int:
        low, high = (1, 1) if section == "deltas" and "previous" not in self.signals else _COUNTS[section]
        return high if self._first_fits else self._chance.randint(low, high)


def same_figures(one: str, other: str) -> bool:
    """Whether two sentences tell the same measured figure."""
    return bool((set(KEY.findall(one)) & set(KEY.findall(other))) - _NAMES)


def _specific_first(sentences: Sequence[str], found: Mapping[str, str]) -> list[str]:
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


def spell(sentence: str, found: Mapping[str, str], chance: random.Random) -> str:
    """One of its spellings, the conditions taken off, the first letter large."""
    text = _ALTERNATIVES.sub(lambda match: chance.choice(_alternatives(match[1], found)), _split(sentence)[1])
    return text[:1].upper() + text[1:]
