"""Draws sentences of the hand-written banks along the outline, keys still in place.

Used by the rules, and by the recipe that trains the bundled model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from progtrain.advisor.interface import Briefing
from progtrain.advisor.prose.outline import Outline, Part, fresh
from progtrain.advisor.prose.phrasing import spell
from progtrain.advisor.prose.prompts import AFTER, BEFORE


class Writer:
    """Draws sentences that are true for one briefing, none twice in a section."""

    def __init__(self, briefing: Briefing, rng: random.Random) -> None:
        self._outline = Outline(briefing)
        self._rng = rng

    def before(self, option: str) -> dict[str, list[str]]:
        """The sections up to the choice, which is `option`."""
        return {name: self.section(name, option) for name in BEFORE}

    def after(self, option: str) -> dict[str, list[str]]:
        """The sections that follow the choice of `option`."""
        return {name: self.section(name, option) for name in AFTER}

    def section(self, name: str, chosen: str = "") -> list[str]:
        taken: list[str] = []
        for part in self._outline.parts(name, chosen):
            taken += self._picked(part, taken)
        return [spell(text, self._outline.signals, self._rng) for text in taken]

    def _picked(self, part: Part, before: Sequence[str]) -> list[str]:
        picked: list[str] = []
        for _ in range(self._rng.randint(part.least, part.most)):
            if left := fresh(part, [*before, *picked]):
                picked.append(self._rng.choice(left))
        return picked
