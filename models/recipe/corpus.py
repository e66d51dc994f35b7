"""Briefings and the drafts that an experienced engineer would write about them.

The prompt is what `progtrain.advisor.prose.prompts.render` makes of a briefing at run time as well.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from models.recipe import policy, scenario, words
from progtrain.advisor.interface import Briefing
from progtrain.advisor.prose.outline import Outline, draw
from progtrain.advisor.prose.prompts import AFTER, BEFORE, CHOICE, OFFERED, by_rank, heading, render

#: Seeds from here on are never trained on.
HELD_OUT = 50_000_000
#: so many of the examples tell of a state that was really reached; the others are made up
REAL = 0.5
#: what was measured in that very state counts so much, what the judge expects the rest: one training is no certainty
_MEASURED = 0.3


@dataclass(frozen=True)
class Example:
    briefing: Briefing
    prompt: str
    #: the sections up to and including the heading of the choice
    before: str
    #: the option's id and the line's end
    choice: str
    after: str
    #: how likely each option was to be chosen
    odds: dict[str, float]

    @property
    def short(self) -> bool:
        """The choice follows the briefing at once, as when the bundled model is asked for it."""
        return self.before == heading(CHOICE)

    @property
    def answer(self) -> str:
        return self.before + self.choice + self.after


def example(seed: int, *, short: bool = False) -> Example:
    """The same example for the same seed. A short one goes straight to the choice."""
    rng = random.Random(seed * 7919 + 1)
    if seed < HELD_OUT and rng.random() < REAL:
        briefing, score = _from_life(rng)
    else:
        briefing = scenario.briefing(seed)
        score = policy.scores(briefing)
    odds = policy.odds(score)
    chosen = rng.choices(list(odds), list(odds.values()))[0]
    outline = Outline(briefing)
    written = {name: draw(outline, name, chosen, rng) for name in (*BEFORE, *AFTER)}
    told = () if short else BEFORE
    return Example(
        briefing=briefing,
        prompt=render(briefing),
        before="".join(_section(name, written[name]) for name in told) + heading(CHOICE),
        choice=f"{chosen}\n",
        after="".join(_section(name, written[name]) for name in AFTER),
        odds=odds,
    )


def _from_life(rng: random.Random) -> tuple[Briefing, dict[str, float]]:
    """A state of the collected ones, never quite the same twice: fewer options, fewer facts, sometimes a hint."""
    state = rng.choice(policy.states())
    briefing = state.briefing
    ranked = by_rank(briefing)
    if len(ranked) > 4 and rng.random() < 0.7:
        kept = set(rng.sample(range(len(ranked)), rng.randint(4, len(ranked))))
        ranked = [option for place, option in enumerate(ranked) if place in kept]
    ranked = ranked[:OFFERED]
    options = tuple(option.model_copy(update={"rank": place}) for place, option in enumerate(ranked, start=1))
    facts = briefing.facts
    if rng.random() < 0.4:
        gone = set(rng.sample(range(4, len(facts)), min(len(facts) - 4, rng.randint(1, 10))))
        facts = tuple(fact for place, fact in enumerate(facts) if place not in gone)
    names = [option.id for option in options]
    briefing = briefing.model_copy(
        update={
            "options": options,
            "facts": facts,
            "hints": words.hint(rng, names) if rng.random() < 0.1 else (),
            "instruction": words.instruction(rng) if rng.random() < 0.2 else (),
            "limits": words.limits(rng) if rng.random() < 0.2 else (),
        }
    )
    score = policy.scores(briefing)
    measured = [option for option in score if option in state.gains]
    if measured:
        level = sum(score[o] for o in measured) / len(measured) - sum(state.gains[o] for o in measured) / len(measured)
        score |= {o: (1 - _MEASURED) * score[o] + _MEASURED * (state.gains[o] + level) for o in measured}
    return briefing, score


def _section(name: str, lines: list[str]) -> str:
    return heading(name) + "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    for seed in range(HELD_OUT, HELD_OUT + 4):
        print(example(seed).prompt, example(seed).answer, sep="\n", end="\n\n")
