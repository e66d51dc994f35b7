"""Step 4: exactly one action, proposed to the user and accepted, edited or replaced.

Writes `result-analysis.md` and `action-extract.md` into the version's folder once the user has accepted.
"""

from __future__ import annotations

import time
from typing import Any

from progtrain.engine.analysis.action_file import parse_action
from progtrain.engine.analysis.types import Insight
from progtrain.engine.control import decisions, marks
from progtrain.engine.control.context import Context
from progtrain.engine.drafting import addition, history, next_script, rounds
from progtrain.engine.drafting.next_script import Planned
from progtrain.engine.drafting.rounds import DraftRecord
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.files import read_text, sha256_text, write_text
from progtrain.engine.loop import elsewhere
from progtrain.engine.loop.steps import analyze, check
from progtrain.engine.schema import Decision, Review
from progtrain.engine.script.action.data import CANDIDATE as DATA_ACTION


def reasons(context: Context, version: str) -> list[str]:
    return elsewhere.why_not_accepted(context, version) or _not_allowed_any_more(context, version)


def _not_allowed_any_more(context: Context, version: str) -> list[str]:
    """Where rules or instruction have changed since it was accepted, an action is held against them once more.

    Raises `InputError` where its document cannot be read.
    """
    ws, mark = context.ws, marks.read(context.ws, version, "extract")
    if mark is None or mark.inputs.get("rules") in (None, context.rules.sha256) or check.is_last(context, version):
        return []
    path = ws.version(version).action
    parsed = parse_action(read_text(path), path)
    try:
        next_script.plan(ws, context.rules, version, parsed.operation, base=parsed.base, reason=parsed.goal)
    except InputError as error:
        return [f"rules or instruction have changed since, and what was accepted cannot be done: {error.reason}"]
    return []


def run(context: Context, version: str) -> str:
    """Asks until something is accepted. Raises `DecisionNeeded`, `InputError`, `Stopped`."""
    record, insight = _draft_under_present_rules(context, version)
    while True:
        review, planned = _review(context, version, record, insight)
        automatic = "accept" if planned else None
        decision = context.ask(review, automatic)
        if decision.answer == "accept" and decision.candidate in (None, record.candidate) and not _texts(decision):
            if planned and _is_shown(planned, decision):
                return _accept(context, version, record, planned, decision)
            # refused, or not what was on screen: the same question again, under a new number
            rounds.write_edit(context, version, record, None, None)
        elif _texts(decision):
            rounds.write_edit(context, version, record, decision.analysis, decision.action)
        else:
            _draft_as_asked(context, version, insight, decision)
        record, insight = _present(context, version)
        if decision.answer == "accept":
            planned = _plan(context, version)[0]
            if planned and _is_shown(planned, decision):
                return _accept(context, version, record, planned, decision)
            if planned:
                text = f"{version}: not accepted: {planned.action_text} would write another script than the one shown"
                context.journal.write("warning", text=text)


def _draft_as_asked(context: Context, version: str, insight: Insight, decision: Decision) -> None:
    """Another round. An answer that cannot be followed is taken back, so that the question is asked again."""
    begun, before = time.monotonic(), insight
    notes: tuple[str, ...] = ()
    try:
        if decision.candidate is None:
            insight, notes = analyze.with_proposal(context, version, insight, hint=decision.hint)
            if insight != before:
                analyze.mark(context, version, time.monotonic() - begun)
        rounds.draft(
            context,
            version,
            insight,
            origin="choice" if decision.candidate else "advisor",
            candidate=decision.candidate,
            base=decision.base,
            hint=decision.hint,
            notes=notes,
        )
    except InputError:
        decisions.withdraw(context.ws, decision.question)
        raise


def _draft_under_present_rules(context: Context, version: str) -> tuple[DraftRecord, Insight]:
    """The draft that lies there; drafted anew when the rules have changed since."""
    found = _present(context, version)
    mark = marks.read(context.ws, version, "analyze")
    if mark is None or mark.inputs.get("rules") == context.rules.sha256:
        return found
    context.journal.write("note", text=f"{version}: rules or instruction changed since the draft: drafted anew")
    analyze.run(context, version)
    return _present(context, version)


def _present(context: Context, version: str) -> tuple[DraftRecord, Insight]:
    insight, record = history.read_insight(context.ws, version), rounds.current(context.ws, version)
    if insight is None or record is None:
        raise InputError("there is no draft yet", fix=f"progtrain step analyze --version {version}")
    return record, insight


def _texts(decision: Decision) -> bool:
    return decision.analysis is not None or decision.action is not None


def _is_shown(planned: Planned, decision: Decision) -> bool:
    """Whether it writes what the user saw, where the answer says what that was."""
    return decision.shown in (None, sha256_text(planned.diff))


def _plan(context: Context, version: str) -> tuple[Planned | None, str]:
    """What the drafted action would do, or why it is refused."""
    ws, path = context.ws, context.ws.drafts(version).action
    try:
        parsed = parse_action(read_text(path), path)
        base, reason = parsed.base, parsed.goal
        planned = next_script.plan(ws, context.rules, version, parsed.operation, base=base, reason=reason)
        addition.prepared(context, version, planned.operation, planned.base)
        return planned, ""
    except (InputError, StepFailed) as error:
        return None, str(error)


def _review(context: Context, version: str, record: DraftRecord, insight: Insight) -> tuple[Review, Planned | None]:
    planned, problem = _plan(context, version)
    folder = context.ws.drafts(version)
    probability = {r.id: r.probability for r in record.draft.ranking}
    by_model = record.draft.model_sha256 is not None
    last = check.is_last(context, version)
    kept = elsewhere.why_not_carried_out(context, version)
    rows = _rows_of(context, version, planned)
    review = Review(
        question=question_of(version, record),
        kind="review",
        version=version,
        title=f"{version} is drafted",
        text="the last version: its action is kept for later" if last else "",
        diff=planned.diff if planned else "",
        target=context.ws.script(planned.version).name if planned else "",
        answers=["accept", "choose", "edit", "redraft", "stop"],
        chosen=record.candidate,
        base=planned.base if planned else record.base,
        candidates=[
            c.model_copy(update={"probability": probability.get(c.id) if by_model else None})
            for c in insight.candidates
        ],
        author=record.draft.author,
        notes=[
            *record.draft.remarks,
            *([insight.undecided] if insight.undecided else []),
            *(f"not offered: {line}" for line in insight.not_offered if line.startswith(DATA_ACTION)),
            *([f"{kept}; accepting writes the drafted one instead, and keeps yours"] if kept else []),
            *(f'your hint: "{hint}"' for hint in decisions.hints(context.ws)),
            *(f"edited: {line}" for line in rounds.changed_by_user(context.ws, record)),
            *(marks.edited_since(context.ws, planned.base) if planned else ()),
        ],
        checks=[*(planned.checks if planned else ()), *([f"the rows of {rows['name']} pass"] if rows else ())],
        problems=[problem] if problem else [],
        not_enforced=list(context.rules.instruction.not_enforced),
        addition=rows,
    )
    if not folder.analysis.is_file():
        raise InputError("the drafted analysis is gone", file=folder.analysis, fix="progtrain review redraft")
    return review, planned


def _rows_of(context: Context, version: str, planned: Planned | None) -> dict[str, Any] | None:
    """Of a data action: what a person looks at."""
    made = addition.prepared(context, version, planned.operation, planned.base) if planned else None
    return addition.shown(context.ws, made, context.python) if made else None


def question_of(version: str, record: DraftRecord) -> str:
    """Under which name a draft is asked about."""
    digest = sha256_text(record.analysis_sha256 + record.action_sha256 + str(record.draft.seconds))[:6]
    return f"{version}-review-{record.round}-{digest}"


def _accept(context: Context, version: str, record: DraftRecord, planned: Planned, decision: Decision) -> str:
    ws, folder, drafts = context.ws, context.ws.version(version), context.ws.drafts(version)
    by = {"autopilot": "in autopilot", "mcp": "by an agent"}.get(decision.by, "by the user")
    changed = "; ".join(rounds.changed_by_user(ws, record)) or "nothing"
    _keep_others(context, version)
    # the rows first: an action that names rows which are not there would be worse than rows that nobody names
    addition.take_over(ws, version, planned.operation, planned.base)
    for source, target in ((drafts.analysis, folder.analysis), (drafts.action, folder.action)):
        text = addition.with_name(read_text(source), planned.operation).rstrip()
        write_text(target, f"{text}\n\nAccepted {by}. Changed by the user: {changed}.\n")
    marks.write(
        ws,
        version,
        "extract",
        [folder.analysis, folder.action],
        clock=context.clock,
        inputs={"author": record.draft.author, "rules": context.rules.sha256},
    )
    addition.forget(ws, version)
    return f"accepted {by}: {planned.action_text}"


def _keep_others(context: Context, version: str) -> None:
    """Documents that were not written here are kept before the accepted ones take their place."""
    ws, folder = context.ws, context.ws.version(version)
    kept = ws.drafts(version).path / "found"
    if (mark := marks.read(ws, version, "extract")) is not None and not mark.adopted:
        return
    for path in (folder.analysis, folder.action):
        if path.is_file() and not (kept / path.name).exists():
            write_text(kept / path.name, read_text(path))
            context.journal.write("note", text=f"the {path.name} that lay there is kept in {ws.relative(kept)}")
