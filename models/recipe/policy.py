"""Which option the training examples choose: what the trials say helps in such a state, and what the user wishes."""

from __future__ import annotations

import math
import random
from functools import lru_cache

from advisor.interface import Briefing
from models.recipe import words
from models.recipe.experience import HELD_OUT_FAMILIES, Judge, State, read_states

#: what a wish of the user's counts, beside gains of a few tenths
_WISH = 1.5
#: what a place further down the rules' ranking takes off: judged on families left out one by one, the rules alone
#: bring 0.23, the judge alone 0.20, and the judge with this 0.23
_PLACE = 0.07
#: examples choose by chance among options of nearly the same expected gain: the model is to learn how sure one can be
_TEMPERATURE = 0.04


@lru_cache(maxsize=1)
def states() -> tuple[State, ...]:
    """Those that may be learned from."""
    return tuple(state for state in read_states() if state.family not in HELD_OUT_FAMILIES)


@lru_cache(maxsize=1)
def judge() -> Judge:
    return Judge().fit([state for state in states() if state.gains])


def scores(briefing: Briefing) -> dict[str, float]:
    """Every option's expected gain, from what the rendered prompt shows and nothing else; wishes come first."""
    gains = judge().gains(briefing)
    wished = {o.id for o in briefing.options if any(words.asks_for(hint, o.id) for hint in briefing.hints)}
    places = {option.id: option.rank - 1 for option in briefing.options}
    return {o: gain - _PLACE * places[o] + (_WISH if o in wished else 0.0) for o, gain in gains.items()}


def choose(briefing: Briefing) -> str:
    score = scores(briefing)
    return max(score, key=lambda option: score[option])


def draw(score: dict[str, float], chance: random.Random) -> str:
    """By chance, the better the likelier."""
    top = max(score.values())
    weights = [math.exp((value - top) / _TEMPERATURE) for value in score.values()]
    return chance.choices(list(score), weights)[0]
