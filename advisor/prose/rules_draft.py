"""The same documents without a model: hand-written sentences, chosen by what the facts show."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

from progtrain.advisor import ranking
from progtrain.advisor.check.grounding import Grounding
from progtrain.advisor.interface import Briefing, Draft, Prose
from progtrain.advisor.prose.outline import Outline, draw
from progtrain.advisor.prose.phrasing import KEY
from progtrain.advisor.prose.prompts import AFTER, BEFORE, by_rank

AUTHOR = "rules only"

#: What a section says when no sentence holds.
LAST_RESORT = {
    "summary": "This version has been trained and evaluated.",
    "deltas": "The table above shows every metric that was measured.",
    "evidence": "The facts at hand are few; the log and the samples say more.",
    "hypotheses": "The facts at hand do not point to a single cause.",
    "focus": "The samples that are still wrong",
    "goal": "Try one narrow change and see what it brings.",
    "impact": "A change in the primary metric that is more than noise.",
    "risk": "Low: a single change that is easy to undo.",
    "verification": "Compare both versions on the same validation samples.",
}


def sections(briefing: Briefing, chosen: str, *, seed: int = 42) -> dict[str, list[str]]:
    """Finished sentences for every section. Each briefing has its own wording, the same every time."""
    grounding = Grounding(briefing)
    outline, rng = Outline(briefing), random.Random(f"{seed} {briefing.version}")
    written = {name: draw(outline, name, chosen, rng) for name in BEFORE}
    findings = sorted(briefing.findings, key=lambda finding: -finding.strength)
    written["evidence"] = _adding([finding.text for finding in findings[:2]], written["evidence"])
    written |= {name: draw(outline, name, chosen, rng) if chosen else [] for name in AFTER}
    return {name: _finished(lines, name, grounding) for name, lines in written.items()}


def _adding(told: list[str], more: Iterable[str]) -> list[str]:
    """What was told, and of the rest the sentences that name a figure which was not."""
    for line in more:
        keys = set(KEY.findall(line))
        if not keys or keys - {key for text in told for key in KEY.findall(text)}:
            told = [*told, line]
    return told


def _finished(lines: Sequence[str], name: str, grounding: Grounding) -> list[str]:
    tidy = (grounding.tidy(line) for line in lines)
    kept = list(dict.fromkeys(grounding.fill(line) for line in tidy if not grounding.problem(line, name)))
    return kept or [LAST_RESORT[name]]


def prose(written: Mapping[str, Sequence[str]]) -> Prose:
    return Prose(
        summary=" ".join(written["summary"]),
        metric_deltas=tuple(written["deltas"]),
        evidence=tuple(written["evidence"]),
        hypotheses=tuple(written["hypotheses"]),
        next_focus=tuple(written["focus"]),
        goal=" ".join(written["goal"]),
        expected_impact=" ".join(written["impact"]),
        risk=" ".join(written["risk"]),
        verification=" ".join(written["verification"]),
    )


def draft(briefing: Briefing, *, notes: Iterable[str] = (), seed: int = 42) -> Draft:
    """The first of the rules' ranking, with the prose that belongs to it."""
    ranked = by_rank(briefing)
    chosen = ranked[0].id if ranked else ""
    return Draft(
        author=AUTHOR,
        model_sha256=None,
        chosen=chosen,
        ranking=ranking.from_rules(briefing),
        prose=prose(sections(briefing, chosen, seed=seed)),
        notes=tuple(notes),
        seed=seed,
    )
