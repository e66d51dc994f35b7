"""The advisor on experiments: a model ranks and words what code proposes, as it does with actions."""

from __future__ import annotations

from collections.abc import Sequence

from progtrain.advisor import process
from progtrain.advisor.interface import Draft
from progtrain.engine.analysis.types import Insight
from progtrain.engine.drafting import rounds
from progtrain.engine.experiment.propose import Proposal
from progtrain.engine.files import write_text
from progtrain.engine.rules.rules import Rules
from progtrain.engine.workspace import Workspace


def ranked(
    ws: Workspace, present: Rules, insight: Insight | None, found: Sequence[Proposal]
) -> tuple[list[Proposal], Draft | None]:
    """In the advisor's order, with its draft; as they were where there is nothing to rank, or no model that works.

    Without an insight nothing could be told to a model.
    """
    if insight is None or len(found) < 2:
        return list(found), None
    offers = tuple(offer for offer, _ in found)
    briefing = rounds.brief(ws, present, insight.model_copy(update={"candidates": offers}))
    folder = ws.proposals
    write_text(folder.briefing, briefing.model_dump_json(indent=2) + "\n")
    asked = rounds.settings(present, ws, seed=present.seed)
    draft = process.draft(briefing, asked, events=folder.events, log=folder.log)
    if draft.model_sha256 is None:
        return list(found), draft
    chances = {one.id: one.probability for one in draft.ranking}
    told = [(offer.model_copy(update={"probability": chances.get(offer.id)}), designed) for offer, designed in found]
    return sorted(told, key=lambda one: -(one[0].probability or 0.0)), draft
