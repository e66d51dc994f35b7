"""`progtrain experiment propose`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from progtrain.advisor.interface import Candidate, Draft
from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import advice, propose
from progtrain.engine.experiment.propose import Proposal
from progtrain.engine.experiment.stages import design
from progtrain.engine.experiment.stages.design import Designed
from progtrain.engine.rules import rules
from progtrain.engine.script.names import nearest
from progtrain.engine.workspace import Workspace


@click.command("propose")
@click.option("--write", "wanted", metavar="ID", help="Write the plan of this one, to be edited or carried out.")
@click.option("--name", help="What it is to be called.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, wanted: str | None, name: str | None, as_json: bool) -> None:
    """Experiments that would decide something, the best first, with their plans.

    They come from the versions so far and from the experiments that have ended. What was done is not offered again.
    """
    ws = workspace(ctx)
    if name and not wanted:
        raise InputError("a name for which of them?", place="--name", fix="name it: --write ID")
    found, left_out, insight = propose.proposals(ws)
    if wanted:
        _write(ws, _chosen(found, wanted), name, as_json)
        return
    found, draft = advice.ranked(ws, rules.load(ws), insight, found)
    if as_json:
        print_json("experiment_proposals", _as_dict(found, left_out, draft))
    else:
        _show(found, left_out, draft)


def _chosen(found: Sequence[Proposal], wanted: str) -> Proposal:
    known = [offer.id for offer, _ in found]
    if wanted not in known:
        near = nearest(wanted, known, 1)
        fix = f"did you mean {near[0]}?" if near else f"on offer are: {', '.join(known) or 'none'}"
        raise InputError(f"there is no proposal {wanted!r}", place="--write", fix=fix)
    return found[known.index(wanted)]


def _write(ws: Workspace, proposal: Proposal, name: str | None, as_json: bool) -> None:
    offer, designed = proposal
    designed = propose.renamed(ws, designed, name) if name else designed
    design.write(designed)
    folder = designed.experiment.folder
    if as_json:
        one = _one(offer, designed)
        print_json("experiment_proposals", {"proposals": [one], "left_out": [], "author": "", "words": "", "notes": []})
        return
    say(
        f"{designed.text.rstrip()}\n\nwritten: {ws.relative(folder.plan)}\n"
        f"edit it, or progtrain experiment scaffold {folder.name} goes on"
    )


def _as_dict(found: Sequence[Proposal], left_out: Sequence[str], draft: Draft | None) -> dict[str, Any]:
    by_model = draft is not None and draft.model_sha256 is not None
    return {
        "proposals": [_one(*one) for one in found],
        "left_out": list(left_out),
        "author": draft.author if draft and by_model else "rules only",
        "words": _words(draft),
        "notes": list(draft.notes) if draft else [],
    }


def _one(offer: Candidate, designed: Designed) -> dict[str, Any]:
    return {
        "id": offer.id,
        "title": offer.title,
        "decides": offer.why,
        "reasons": list(offer.reasons),
        "evidence": list(offer.evidence),
        "score": offer.score,
        "probability": offer.probability,
        "name": designed.experiment.folder.name,
        "runs": len(designed.runs),
        "evaluations": len(designed.cells),
        "hours": designed.hours,
        "basis": design.basis(designed.experiment.plan),
        "plan": designed.text,
    }


def _words(draft: Draft | None) -> str:
    """The model's own, on what it puts first."""
    if draft is None or draft.model_sha256 is None:
        return ""
    return f"{draft.prose.goal} {draft.prose.expected_impact}"


def _show(found: Sequence[Proposal], left_out: Sequence[str], draft: Draft | None) -> None:
    words = _words(draft)
    for place, (offer, designed) in enumerate(found, start=1):
        say(f"{place}. {offer.id}: {offer.title}", bold=True)
        lines = [words] if words and place == 1 else []
        lines += [f"decides {offer.why}", f"{offer.change}; {propose.cost(designed)}", *offer.reasons]
        say("".join(f"   {line}\n" for line in lines).rstrip("\n"))
    for line in left_out:
        say(f"left out: {line}")
    if draft is not None:
        say(f"ranked by {draft.author}" + "".join(f"; {note}" for note in draft.notes))
    if not found:
        say("nothing is left to propose")
        return
    say(f"progtrain experiment propose --write {found[0][0].id} writes its plan, to be edited or carried out")
