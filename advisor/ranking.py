"""From scores to a ranking, and what to say where the model and the rules disagree."""

from __future__ import annotations

import math
from collections.abc import Mapping

from advisor.interface import Briefing, Ranked
from advisor.prompts import by_rank


def from_scores(scores: Mapping[str, float]) -> tuple[Ranked, ...]:
    """Log-probabilities of the options to probabilities among them, the likeliest first."""
    if not scores:
        return ()
    top = max(scores.values())
    weights = {option: math.exp(score - top) for option, score in scores.items()}
    total = sum(weights.values())
    ranked = [Ranked(id=option, probability=weight / total) for option, weight in weights.items()]
    return tuple(sorted(ranked, key=lambda r: -r.probability))


def from_rules(briefing: Briefing) -> tuple[Ranked, ...]:
    """The rules' own order. They give no probabilities: each place counts half of the one before."""
    return from_scores({option.id: -place * math.log(2) for place, option in enumerate(by_rank(briefing))})


def disagreement(briefing: Briefing, ranking: tuple[Ranked, ...]) -> str | None:
    """A note where the model's first choice is not the rules'."""
    if not ranking or not briefing.options:
        return None
    first = by_rank(briefing)[0].id
    chosen = ranking[0]
    if chosen.id == first:
        return None
    place = next(o.rank for o in briefing.options if o.id == chosen.id)
    own = next((r.probability for r in ranking if r.id == first), 0.0)
    return (
        f"the model chooses {chosen.id} ({chosen.probability:.0%}, rank {place} of the rules); "
        f"the rules put {first} first (the model gives it {own:.0%})"
    )
