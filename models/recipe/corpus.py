"""Briefings and the drafts that an experienced engineer would write about them.

The prompt is what `advisor.prompts.render` makes of a briefing at run time as well.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from advisor.interface import Briefing
from advisor.prompts import AFTER, BEFORE, CHOICE, heading, render
from advisor.writing import Writer
from models.recipe import policy, scenario

#: Seeds from here on are never trained on.
HELD_OUT = 50_000_000


@dataclass(frozen=True)
class Example:
    briefing: Briefing
    prompt: str
    #: the sections up to and including the heading of the choice
    before: str
    #: the option's id and the line's end
    choice: str
    after: str

    @property
    def answer(self) -> str:
        return self.before + self.choice + self.after


def example(seed: int, *, short: bool = False) -> Example:
    """The same example for the same seed. A short one goes straight to the choice."""
    chance = random.Random(seed * 7919 + 1)
    briefing = scenario.briefing(seed)
    chosen = policy.choose(briefing)
    writer = Writer(briefing, chance)
    before, after = writer.before(), writer.after(chosen)
    told = () if short else BEFORE
    return Example(
        briefing=briefing,
        prompt=render(briefing),
        before="".join(_section(name, before[name]) for name in told) + heading(CHOICE),
        choice=f"{chosen}\n",
        after="".join(_section(name, after[name]) for name in AFTER),
    )


def _section(name: str, lines: list[str]) -> str:
    return heading(name) + "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    for seed in range(HELD_OUT, HELD_OUT + 4):
        print(example(seed).prompt, example(seed).answer, sep="\n", end="\n\n")
