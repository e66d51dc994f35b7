"""Step 3: works out what the numbers say, and has the advisor draft both documents.

Writes `.progtrain/insight/v###.json` and the drafts; nothing in the version's folder until the user accepts.
"""

from __future__ import annotations

import time
from pathlib import Path

from progtrain.advisor import process
from progtrain.engine.agents import sources
from progtrain.engine.analysis.gather import gather
from progtrain.engine.analysis.types import Insight
from progtrain.engine.control import marks
from progtrain.engine.control.context import Context
from progtrain.engine.drafting import history, next_script, rounds
from progtrain.engine.experiment import propose, tried
from progtrain.engine.files import write_text
from progtrain.engine.loop import elsewhere
from progtrain.engine.repeats import control, found
from progtrain.engine.trackers.imports_elsewhere import tried_elsewhere


def reasons(context: Context, version: str) -> list[str]:
    if not elsewhere.why_not_accepted(context, version):
        return []  # accepted: the drafts have served
    why = marks.why_not_done(context.ws, version, "analyze", by_hand=elsewhere.BY_HAND)
    problem = elsewhere.why_not_carried_out(context, version)
    return [*why, problem] if why and problem else why


def run(context: Context, version: str) -> str:
    control.see_to(context, version)
    begun = time.monotonic()
    insight = look(context, version)
    facts_seconds = time.monotonic() - begun
    insight, notes = with_proposal(context, version, insight)
    record = rounds.draft(context, version, insight, notes=notes)
    mark(context, version, time.monotonic() - begun)
    missing = tell_of_missing_model(context)
    for note in record.draft.notes:
        if missing is None or (str(missing) not in note and note != process.RULES_ALONE):
            context.journal.warn(f"{version}: {note}")
    return f"facts in {facts_seconds:.2f} s, drafted by {record.draft.author}"


def tell_of_missing_model(context: Context) -> Path | None:
    """The model that the rules name and that is not there; a warning of each runner, whatever is drafted without it."""
    model = rounds.settings(context.rules, context.ws, seed=0).model
    if model is None or model.is_file():
        return None
    text = f"{model.name}: the model file does not exist: {model}; until it is there, the rules alone draft"
    context.journal.warn(text)
    return model


def mark(context: Context, version: str, seconds: float) -> None:
    folder = context.ws.drafts(version)
    marks.write(
        context.ws,
        version,
        "analyze",
        [context.ws.insight(version), folder.analysis, folder.action],
        clock=context.clock,
        seconds=seconds,
        inputs={"rules": context.rules.sha256},
    )


def with_proposal(
    context: Context, version: str, insight: Insight, *, hint: str | None = None
) -> tuple[Insight, tuple[str, ...]]:
    """The insight, kept anew where it has gained or lost a code edit, and what there is to say about that."""
    found, notes = rounds.with_proposal(context, version, insight, hint=hint)
    if found != insight:
        write_text(context.ws.insight(version), found.to_json())
    return found, notes


def look(context: Context, version: str) -> Insight:
    """Facts, diagnosis, comparisons and candidates of a version, worked out and kept."""
    records = history.records(context.ws, context.rules, until=version)
    beside, broken = tried.beside(context.ws, context.rules.primary_metric)
    for text in broken:
        context.journal.warn(text)
    repeats = {record.version: found.of(context.ws, record.version) for record in records if record.comparable}
    for name, runs in repeats.items():
        found.tell_of_free(context.ws, name, runs)
    insight = gather(context.ws, version, next_script.limits(context.rules), records, beside, repeats)
    outdated = tuple(text for record in records for text in found.outdated(context.ws, record.version))
    insight = insight.model_copy(update={"warnings": (*insight.warnings, *outdated)})
    undecided = propose.would_decide(context.ws, context.rules, insight, records)
    source = next((record.source for record in records if record.version == version), "")
    others = tried_elsewhere(context.ws, source, context.rules.primary_metric)
    told, evidence = sources.for_insight(context.ws, context.clock())
    found_out = {"undecided": undecided, "elsewhere": others, "facts": (*insight.facts, *told), "evidence": evidence}
    insight = insight.model_copy(update=found_out)
    write_text(context.ws.insight(version), insight.to_json())
    for warning in insight.warnings:
        context.journal.warn(f"{version}: {warning}")
    return insight
