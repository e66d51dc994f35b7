"""Which option the training examples choose: what the trials say helps in such a state, and what the user wishes."""

from __future__ import annotations

from functools import lru_cache

from models.recipe import words
from models.recipe.experience import HELD_OUT_FAMILIES, Judge, State, read_states
from progtrain.advisor import ranking
from progtrain.advisor.interface import Briefing

#: what a wish of the user's counts, beside gains of a few tenths
_WISH = 1.5
#: examples choose by chance among options of nearly the same expected gain: the model is to learn how sure one can be
_TEMPERATURE = 0.05


@lru_cache(maxsize=1)
def states() -> tuple[State, ...]:
    """Those that may be learned from."""
    return tuple(state for state in read_states() if state.family not in HELD_OUT_FAMILIES)


@lru_cache(maxsize=1)
def judge() -> Judge:
    return Judge().fit([state for state in states() if state.gains])


def scores(briefing: Briefing) -> dict[str, float]:
    """Every option's expected gain; wishes come first."""
    gains = judge().gains(briefing)
    wished = {o.id for o in briefing.options if any(words.asks_for(hint, o.id) for hint in briefing.hints)}
    return {o: gain + (_WISH if o in wished else 0.0) for o, gain in gains.items()}


def choose(briefing: Briefing) -> str:
    score = scores(briefing)
    return max(score, key=lambda option: score[option])


def odds(score: dict[str, float]) -> dict[str, float]:
    """How likely each option is to be chosen, the better the likelier; they sum to 1."""
    return ranking.shares({option: value / _TEMPERATURE for option, value in score.items()})
