"""From scores to a ranking, and what to say where the model and the rules disagree.

The chance of an option is the model's probability times the rules' prior, made to sum to one: a product of experts.
The rules' prior grows with their score, so that rules that are sure have their way where the model wavers, and the
model has its way where the rules put options close together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from progtrain.advisor.interface import Briefing, Ranked
from progtrain.advisor.prose.prompts import by_rank


def from_scores(scores: Mapping[str, float]) -> tuple[Ranked, ...]:
    """Log-probabilities of the options to probabilities among them, the likeliest first."""
    ranked = [Ranked(id=option, probability=share) for option, share in shares(scores).items()]
    return tuple(sorted(ranked, key=lambda r: -r.probability))


def shares(scores: Mapping[str, float]) -> dict[str, float]:
    """Log-probabilities, whatever they sum to, to probabilities, in the order given."""
    top = max(scores.values(), default=0.0)
    weights = {option: math.exp(score - top) for option, score in scores.items()}
    total = sum(weights.values())
    return {option: weight / total for option, weight in weights.items()}


#: what the rules' score counts in log-probability: from 4 to 12 it makes no difference where outcomes were measured
_WEIGHT = 6.0


def prior(briefing: Briefing) -> dict[str, float]:
    """What the rules make of the options as log-probabilities, not yet summing to one. By their scores; where there are
    none, each place of their ranking counts half of the one before."""
    ranked = by_rank(briefing)
    if all(option.score for option in ranked):
        return {option.id: _WEIGHT * option.score for option in ranked}
    return {option.id: -place * math.log(2) for place, option in enumerate(ranked)}


def from_rules(briefing: Briefing) -> tuple[Ranked, ...]:
    """The rules' own order."""
    return from_scores(prior(briefing))


def combined(briefing: Briefing, scores: Mapping[str, float]) -> tuple[Ranked, ...]:
    """The model's scores and the rules' prior together, with what the model alone gives each option."""
    rules = prior(briefing)
    alone = {ranked.id: ranked.probability for ranked in from_scores(scores)}
    both = from_scores({option: score + rules[option] for option, score in scores.items()})
    return tuple(ranked.model_copy(update={"model": alone[ranked.id]}) for ranked in both)


def disagreement(briefing: Briefing, ranking: tuple[Ranked, ...]) -> str | None:
    """A note where the model and the rules do not put the same option first."""
    if not ranking or not briefing.options:
        return None
    chosen = ranking[0]
    rules = by_rank(briefing)[0].id
    model = max(ranking, key=lambda r: r.model if r.model is not None else r.probability)
    if chosen.id == rules == model.id:
        return None
    place = next(o.rank for o in briefing.options if o.id == chosen.id)
    told = f"{chosen.id} by both rankings together (model {_share(chosen)}, rules place {place})"
    others = [f"the rules alone: {rules}"] if rules != chosen.id else []
    if model.id != chosen.id:
        others.append(f"the model alone: {model.id} ({_share(model)})")
    return f"{told}; {', '.join(others)}"


def _share(ranked: Ranked) -> str:
    return f"{100 * (ranked.probability if ranked.model is None else ranked.model):.0f} %"
