"""What each section of a draft has to say, in which order, and which sentences of the banks may say it.

One outline serves the rules, which draw from it, the recipe, whose examples are drawn from it, and the bundled model,
which writes along it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from progtrain.advisor.interface import Briefing, Finding
from progtrain.advisor.prose import subjects, wording
from progtrain.advisor.prose.phrasing import KEY, holds, same_figures, specific_first, spell
from progtrain.advisor.prose.prompts import signals

#: A second diagnosis is worth a sentence of the summary from this strength on.
_ALSO_CLEAR = 0.33
_BEST = "best version"
#: Diagnoses that shut each other out: of two, the stronger one is told.
_RIVALS = (
    ({"overfitting", "too_much_capacity"}, {"underfitting", "too_little_capacity"}),
    ({"learning_rate_too_high", "divergence"}, {"learning_rate_too_low"}),
)


class Part(NamedTuple):
    """Between `least` and `most` sentences out of these; all of them are true for the briefing."""

    sentences: tuple[str, ...]
    least: int
    most: int


class Outline:
    """For one briefing."""

    def __init__(self, briefing: Briefing) -> None:
        self.signals = signals(briefing)
        self._briefing = briefing
        self._findings = compatible(sorted(briefing.findings, key=lambda finding: -finding.strength))
        shown = {fact.key: fact.display for fact in briefing.facts}
        #: the best earlier version is the previous one: what is said against it would be said twice
        self._one_rival = "delta_previous" in shown and shown.get("delta_best") == shown["delta_previous"]

    def parts(self, section: str, chosen: str = "") -> tuple[Part, ...]:
        """Parts without sentences are left out. `chosen` counts for hypotheses and for what follows the choice."""
        return tuple(part for part in self._of(section, chosen) if part.sentences)

    def _of(self, section: str, chosen: str) -> Iterable[Part]:
        if section == "summary":
            return self._summary()
        if section == "deltas":
            return self._deltas()
        if section == "evidence":
            return self._evidence()
        if section == "hypotheses":
            return self._by_finding(section, lambda text: not subjects.contradicts(text, self.acts(chosen)))
        return self._by_finding(section, self._within_reach) if section == "focus" else self._after(section, chosen)

    def _summary(self) -> Iterable[Part]:
        yield Part(self._results(), 1, 1)
        for place, finding in enumerate(self._findings[:2]):
            if place == 0 or finding.strength >= _ALSO_CLEAR:
                yield Part(self._sentences_on(finding, "summary") or _own_words(finding, self.signals), 1, 1)
        if not self._findings:
            yield Part(self._true(wording.findings()["healthy"]["summary"]), 1, 1)
        behind = self.signals.get("best") in ("earlier", "previous")
        outlook = self._true(wording.results()["outlook"])
        yield Part(tuple(text for text in outlook if ("@best" in text) == behind), int(behind), 1)

    def _results(self) -> tuple[str, ...]:
        """Those that say what was reached and, from the second version on, what came of the change."""
        fitting = specific_first(wording.results()["summary"], self.signals)
        wanted = {"value", "delta_previous"} & set(self.signals)
        full = tuple(text for text in fitting if wanted <= set(KEY.findall(text)))
        return full or tuple(fitting)

    def _deltas(self) -> Iterable[Part]:
        if "previous" not in self.signals:
            yield Part(self._true(wording.results()["deltas"]) or wording.results()["no_deltas"], 1, 1)
            return
        fitting = specific_first(wording.results()["deltas"], self.signals)
        if self._one_rival:
            fitting = [text for text in fitting if "@delta_best" not in text]
        change = [text for text in fitting if "@delta_previous" in text]
        interval = [text for text in fitting if "@delta_low" in text]
        rest = [text for text in fitting if text not in change and text not in interval]
        yield Part(tuple(change), 1, 1)
        yield Part(tuple(interval), 1, 1)
        yield Part(tuple(rest or (() if change else wording.results()["no_deltas"])), 0 if change else 1, 1)

    def _evidence(self) -> Iterable[Part]:
        own = list(self._by_finding("evidence", lambda text: True))
        yield from own
        short = max(0, 2 - sum(part.least for part in own))
        yield Part(self._true(wording.results()["evidence"]), short, max(1, short))

    def _by_finding(self, section: str, fits: Callable[[str], bool]) -> Iterable[Part]:
        """Most from the first finding, then one sentence each from the next two."""
        told = [tuple(filter(fits, self._sentences_on(finding, section))) for finding in self._findings[:3]]
        told = [sentences for sentences in told if sentences]
        if not told:
            told = [tuple(filter(fits, self._true(wording.findings()["healthy"][section])))]
        for place, sentences in enumerate(told):
            alone = len(told) == 1
            if place == 0:
                yield Part(sentences, min(2 if alone else 1, len(sentences)), 3 if alone else 2)
            else:
                yield Part(sentences, int(place == 1), 1)

    def _after(self, section: str, chosen: str) -> Iterable[Part]:
        option = next((o for o in self._briefing.options if o.id == chosen), None)
        brought = option is not None and option.sentences
        known = brought or chosen in wording.written_about() or chosen.startswith(("undo_v", "back_to_v"))
        if section == "goal" and option and option.why and not known:
            yield Part((option.why,), 1, 1)
            return
        own = self._true(wording.about(self._briefing, chosen).get(section, ()))
        yield Part(own or self._true(wording.other()[section]), 1, 1)

    def _sentences_on(self, finding: Finding, section: str) -> tuple[str, ...]:
        return self._true(wording.findings().get(finding.id, {}).get(section, ()))

    def _true(self, sentences: Iterable[str]) -> tuple[str, ...]:
        return tuple(text for text in sentences if holds(text, self.signals))

    def acts(self, chosen: str) -> set[str]:
        """The id of a candidate and its effects."""
        return {chosen}.union(*(option.effects for option in self._briefing.options if option.id == chosen))

    def _within_reach(self, matter: str) -> bool:
        options = self._briefing.options
        return not options or not subjects.out_of_reach(matter, set().union(*(self.acts(o.id) for o in options)))


def _own_words(finding: Finding, found: dict[str, str]) -> tuple[str, ...]:
    """The engine's sentence on a finding, for one that nobody has written about."""
    return (f"{finding.text.rstrip('.')}.",) if finding.text and holds(finding.text, found) else ()


def compatible(findings: Sequence[Finding]) -> list[Finding]:
    """Without those that contradict a stronger one."""
    kept: list[Finding] = []
    for finding in findings:
        against = [other for pair in _RIVALS for own, other in (pair, pair[::-1]) if finding.id in own]
        if not any(other.id in names for names in against for other in kept):
            kept.append(finding)
    return kept


def fresh(part: Part, written: Sequence[str]) -> list[str]:
    """What a part may still say beside what stands there already; a part that must speak may repeat a figure."""
    left = [text for text in part.sentences if text not in written]
    apart = [text for text in left if not any(_repeats(text, other) for other in written)]
    return apart or (left if part.least else [])


def draw(outline: Outline, section: str, chosen: str, rng: random.Random) -> list[str]:
    """Sentences for a section, none twice, keys still in place: what the rules write, and the bundled model learns."""
    taken: list[str] = []
    for part in outline.parts(section, chosen):
        picked: list[str] = []
        for _ in range(rng.randint(part.least, part.most)):
            if left := fresh(part, [*taken, *picked]):
                picked.append(rng.choice(left))
        taken += picked
    return [spell(text, outline.signals, rng) for text in taken]


def _repeats(one: str, other: str) -> bool:
    keys = set(KEY.findall(one))
    same = bool(keys) and keys == set(KEY.findall(other))
    return same or same_figures(one, other) or (_BEST in one and _BEST in other)
