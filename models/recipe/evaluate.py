"""How good the finished file is on briefings that it was not trained on, by llama.cpp as at run time."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from models.recipe import corpus, experience, policy
from progtrain.advisor.check import wellformed
from progtrain.advisor.check.grounding import Grounding
from progtrain.advisor.interface import Briefing, Draft, Settings
from progtrain.advisor.llama.model import Model, ModelError
from progtrain.advisor.prose import prompts, wording
from progtrain.advisor.prose.model_draft import Drafter
from progtrain.advisor.prose.phrasing import holds, spellings


def evaluate(path: Path, count: int = 200, first: int = corpus.HELD_OUT) -> dict[str, float]:
    """Shares are 0 to 1, gains log(error before / error after). Prints nothing; see the keys."""
    model = Model(path)
    return _written(model, count, first) | outcomes(model)


def outcomes(model: Model, states: Sequence[experience.State] = ()) -> dict[str, float]:
    """What its choices brought where that was measured: on families of tasks that nothing was learned from.

    Each chooser ranks all options; the first of them that was tried counts. `states`: all, if none are given.
    """
    states = states or experience.held_out()
    together, alone = "model and rules together", "the model alone"
    ranked: dict[str, list[list[str]]] = {}
    for place, state in enumerate(states):
        # the same options, but the facts, findings and past of another state
        other = states[(place + len(states) // 2) % len(states)].briefing
        mixed = other.model_copy(update={"options": state.briefing.options})
        for facts, briefing in (("", state.briefing), (", another state's facts", mixed)):
            draft = _drafted(model, briefing)
            ranking = draft.ranking if draft else ()
            ranked.setdefault(together + facts, []).append([r.id for r in ranking])
            by_model = sorted(ranking, key=lambda r: -(r.model or 0.0))
            ranked.setdefault(alone + facts, []).append([r.id for r in by_model])
    ranked["the rules alone"] = [experience.by_rules(state) for state in states]
    order = experience.by_judge(policy.judge())
    ranked["the judge"] = [order(state) for state in states]
    found = {"held-out states": float(len(states))}
    for name, orders in ranked.items():
        gains = [next((s.gains[o] for o in ids if o in s.gains), 0.0) for s, ids in zip(states, orders, strict=True)]
        found[f"gain of {name}"] = sum(gains) / len(gains)
    found["gain of a random choice"] = sum(sum(s.gains.values()) / len(s.gains) for s in states) / len(states)
    found["gain of the best that was tried"] = sum(s.best for s in states) / len(states)
    return found


def _drafted(model: Model, briefing: Briefing, seed: int = Settings().seed) -> Draft | None:
    try:
        return Drafter(model, briefing, Settings(seed=seed), lambda event: None).write("", "")
    except ModelError:
        return None


def _written(model: Model, count: int, first: int) -> dict[str, float]:
    totals: Counter[str] = Counter()
    written: list[str] = []
    started = time.monotonic()
    for seed in range(first, first + count):
        briefing = corpus.example(seed).briefing
        written.clear()
        drafter = Drafter(model, briefing, Settings(seed=seed), lambda event: _note_section(event, written))
        try:
            draft = drafter.write("", "")
        except ModelError:
            totals["unusable"] += 1
            continue
        totals += _judged(briefing, draft, len(set(written)))
        totals["tokens"] += drafter.tokens[1]
        totals["seconds_in_all"] += sum(draft.seconds.values())
    drafts = count - totals["unusable"]
    sections = drafts * (len(prompts.BEFORE) + len(prompts.AFTER))
    return {
        "drafts": count,
        "drafts with every section from the model": totals["whole"] / count,
        "sections from the model": 1 - totals["filled"] / sections,
        "sentences that hold for the briefing word for word": totals["true"] / max(1, totals["sentences"]),
        "drafts with a number that no fact shows": totals["foreign"] / count,
        "sentences that say a word twice or break off": totals["clumsy"] / max(1, totals["sentences"]),
        "summaries with result and, from the second version on, change": totals["told"] / count,
        "choice agrees with the policy": totals["agrees"] / count,
        "policy's choice among the first two": totals["near"] / count,
        "the model alone agrees with the policy": totals["alone"] / count,
        "policy's choice among the model's own first two": totals["alone_near"] / count,
        "rules' first agrees with the policy": totals["rules"] / count,
        "a random choice would agree": totals["chance"] / count,
        "the same model without findings agrees": _without_findings(model, range(first, first + count)),
        "tokens a second, written": totals["tokens"] / max(1e-9, totals["seconds_in_all"]),
        "seconds a draft": (time.monotonic() - started) / count,
    }


def _note_section(event: dict[str, Any], written: list[str]) -> None:
    """A section's sentences are announced when the model wrote it."""
    if event["event"] == "sentences":
        written.append(event["name"])


def _judged(briefing: Briefing, draft: Draft, written: int) -> Counter[str]:
    grounding = Grounding(briefing)
    chosen = policy.choose(briefing)
    sentences = _sentences(draft)
    fine = {grounding.fill(text) for text in _true_sentences(briefing, draft.chosen)}
    filled = len(prompts.BEFORE) + len(prompts.AFTER) - written
    alone = [r.id for r in sorted(draft.ranking, key=lambda r: -(r.model or 0.0))]
    shown = {fact.key: fact.display for fact in briefing.facts}
    wanted = [shown[key] for key in ("value", "delta_previous") if key in shown]
    return Counter(
        {
            "filled": filled,
            "whole": filled == 0,
            "sentences": len(sentences),
            "true": sum(sentence in fine for sentence in sentences),
            "foreign": any(grounding.foreign_numbers(sentence) for sentence in sentences),
            "clumsy": sum(wellformed.problem(s, phrase=s in draft.prose.next_focus) is not None for s in sentences),
            "told": all(text in draft.prose.summary for text in wanted),
            "alone": alone[0] == chosen,
            "alone_near": chosen in alone[:2],
            "agrees": draft.chosen == chosen,
            "near": chosen in [ranked.id for ranked in draft.ranking[:2]],
            "rules": prompts.by_rank(briefing)[0].id == chosen,
            "chance": 1 / len(briefing.options),
        }
    )


def _sentences(draft: Draft) -> list[str]:
    prose = draft.prose
    parts = prompts.parse(draft.raw)
    # the summary and what follows the choice are joined to one text: take them line by line where the model wrote them
    lists = [*prose.metric_deltas, *prose.evidence, *prose.hypotheses, *prose.next_focus]
    joined = [prose.goal, prose.expected_impact, prose.risk, prose.verification]
    return [*lists, *joined] if parts else []


def _true_sentences(briefing: Briefing, chosen: str) -> Iterable[str]:
    """Every sentence of the banks that holds, in every spelling, keys in place."""
    found = prompts.signals(briefing)
    names = [finding.id for finding in briefing.findings] or ["healthy"]
    banks = [*wording.results().values(), *wording.about(briefing, chosen).values(), *wording.other().values()]
    banks += [bank for name in [*names, "healthy"] for bank in wording.findings()[name].values()]
    for text in itertools.chain.from_iterable(banks):
        if holds(text, found):
            yield from spellings(text, found)


def _without_findings(model: Model, seeds: range) -> float:
    """A control: what is left of the agreement when the diagnosis is withheld."""
    agreed = 0
    for seed in seeds[:: max(1, len(seeds) // 50)]:
        briefing = corpus.example(seed).briefing
        draft = _drafted(model, briefing.model_copy(update={"findings": ()}), seed)
        agreed += draft is not None and draft.chosen == policy.choose(briefing)
    return agreed / len(seeds[:: max(1, len(seeds) // 50)])
