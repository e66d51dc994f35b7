"""Code edits: where the rules allow them, a model of the user's may propose another body for one function.

What it writes counts as any other candidate once it has passed every check, and is dropped with a note otherwise.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from progtrain.advisor import process
from progtrain.advisor.check.grounding import Grounding
from progtrain.advisor.interface import Briefing, Candidate, Proposal, Settings
from progtrain.advisor.prose.instruct import NOTHING
from progtrain.engine.analysis.advise.candidates import rank, state_of
from progtrain.engine.analysis.advise.evidence import FLOOR
from progtrain.engine.analysis.types import Insight
from progtrain.engine.control.context import Context, stopping
from progtrain.engine.drafting import history, next_script
from progtrain.engine.drafting.hints import EDITS, veto
from progtrain.engine.errors import InputError
from progtrain.engine.files import read_text, write_json
from progtrain.engine.script.action import policy, proposal
from progtrain.engine.script.action.code_edit import functions
from progtrain.engine.script.header import without_header
from progtrain.engine.script.settings import parse_script
from progtrain.engine.script.structure import describe

#: Where nothing in the evidence speaks for it: before what has no reason either, behind all that has one.
_SCORE = 2 * FLOOR
_PREFIX = "edit_"
_MOST_SENTENCES = 3


def with_proposal(
    context: Context, version: str, insight: Insight, settings: Settings, briefing: Briefing
) -> tuple[Insight, tuple[str, ...]]:
    """The insight with one more candidate, or with a note that says why there is none.

    Without `allow_code_edits`, for the bundled model, and where a hint wants no code, nothing is asked. An earlier
    proposal goes. What the model wrote, and what came of it, is kept in `.progtrain/drafts/v003/proposal.json`.
    """
    kept = tuple(c for c in insight.candidates if not is_edit(c))
    insight = insight.model_copy(update={"candidates": kept})
    if not context.rules.allow_code_edits or settings.model is None:
        return insight, ()
    if any(EDITS in veto(hint)[1] for hint in briefing.hints):
        return insight, ()
    records = history.records(context.ws, context.rules, until=version)
    base = next_script.default_base(context.rules, records, version)
    source = read_text(context.ws.script(base))
    bare = without_header(source)
    offered = functions_of(bare)
    made: Proposal | None = None
    notes: tuple[str, ...]
    try:
        if not offered:
            raise InputError("the script has no function that may be edited")
        made = _asked(context, version, briefing, bare, offered, settings)
        candidate = _candidate(version, base, source, made, briefing)
        planned = next_script.plan(context.ws, context.rules, version, candidate.operation, base=base)
        if state_of(planned.source) in {state_of(record.source) for record in records}:
            raise InputError("that script has been trained already")
    except (InputError, process.Failed) as error:
        told = error.reason if isinstance(error, InputError) else str(error)
        outcome, notes = told, (f"no code edit is proposed: {told}",)
    else:
        notes = made.notes
        outcome = f"proposed as {candidate.id}"
        insight = insight.model_copy(update={"candidates": rank((*kept, candidate))})
    record = {
        "outcome": outcome,
        "proposal": made and made.model_dump(mode="json"),
        "briefing": briefing.model_dump(mode="json"),
        "code": {"source": bare, "functions": offered},
    }
    write_json(context.ws.drafts(version).proposal, record)
    return insight, notes


def is_edit(candidate: Candidate) -> bool:
    return candidate.operation.get("operation") == "edit"


def functions_of(source: str) -> dict[str, str]:
    """The functions and methods that may get another body, with their text, the likeliest to matter first."""
    facts = describe(source)
    nodes = dict(functions(parse_script(source)))

    def place(path: str) -> int:
        name = path.rpartition(".")[2]
        if name == "configure_optimizers":
            return 0
        return 1 if path in facts.training_path else 2 if name in ("forward", "__init__") else 3

    paths = sorted(policy.editable(source), key=place)
    return {path: f"# {path}\n{text}" for path in paths if (text := ast.get_source_segment(source, nodes[path]))}


def _asked(
    context: Context, version: str, briefing: Briefing, source: str, offered: dict[str, str], settings: Settings
) -> Proposal:
    context.check_stop()
    log = context.ws.drafts(version).log
    with stopping():
        return process.propose(briefing, source, offered, settings, log=log, should_cancel=context.stop_requested)


def _candidate(version: str, base: str, source: str, made: Proposal, briefing: Briefing) -> Candidate:
    """Raises `InputError` with the reason why there is none in what was written."""
    if made.text.strip().startswith(NOTHING):
        raise InputError("the model would leave the code as it is")
    prose, operation = proposal.extract(made.text, source)
    name = operation.function.rpartition(".")[2]
    return Candidate(
        id=f"{_PREFIX}{name}",
        title=f"rewrite {operation.function}",
        operation=operation.model_dump(mode="json"),
        change=operation.describe(),
        risk="high",
        why=_why(prose, briefing) or f"the advisor proposes other code for {operation.function}",
        reasons=(f"proposed by {made.author}; the evidence says nothing about code of a model's own",),
        score=_SCORE,
        rank=0,
        base=base if base != version else None,
    )


def _why(prose: Sequence[str], briefing: Briefing) -> str:
    """The model's sentences that keep to the facts."""
    grounding = Grounding(briefing)
    tidy = [grounding.tidy(line) for line in prose]
    return " ".join([line for line in tidy if line and not grounding.problem(line, "goal")][:_MOST_SENTENCES])
