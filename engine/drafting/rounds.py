"""One round of drafting: the advisor writes and chooses, the engine checks that the choice can be applied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from progtrain.advisor.interface import Briefing, Candidate, Draft, Settings
from progtrain.engine.analysis import documents
from progtrain.engine.analysis.action_file import CHANGE
from progtrain.engine.analysis.types import Insight
from progtrain.engine.control import decisions
from progtrain.engine.control.context import Context
from progtrain.engine.drafting import addition, code_edit, hints, next_script
from progtrain.engine.errors import InputError, NothingToTry, StepFailed
from progtrain.engine.files import read_text, sha256_text, write_text
from progtrain.engine.modes import copy_file
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import load
from progtrain.engine.script import version_files
from progtrain.engine.workspace import DraftFolder, Workspace, version_id, version_number

#: what a wish of the user's adds to a score: more than rules and model can say against it
_ASKED_FOR = 3.0


class DraftRecord(BaseModel):
    """`.progtrain/drafts/v003/draft.json`: one round of drafting, written when both documents are there."""

    version: str
    #: from 1; a redraft, another candidate or an edit makes the next
    round: int
    origin: Literal["advisor", "choice", "edit"]
    #: the candidate that is proposed; None when the user wrote the action by hand
    candidate: str | None
    base: str | None = None
    hint: str | None = None
    #: what the advisor was run with, so that the draft can be made again
    settings: Settings | None = None
    #: of both documents as they were drafted: tells whether somebody edited them since
    analysis_sha256: str
    action_sha256: str
    draft: Draft


def settings(rules: Rules, ws: Workspace, *, seed: int) -> Settings:
    """The advisor's settings from the rules; a relative model path is below the workspace."""
    model = rules.value("advisor_config.model")
    return Settings(
        model=None if model is None else (ws.root / Path(model).expanduser()),
        context_tokens=rules.value("advisor_config.context_tokens"),
        gpu_layers=rules.value("advisor_config.gpu_layers"),
        threads=rules.value("advisor_config.threads"),
        seed=seed,
    )


def current(ws: Workspace, version: str) -> DraftRecord | None:
    path = ws.drafts(version).draft
    return load(path, DraftRecord) if path.is_file() else None


def draft(
    context: Context,
    version: str,
    insight: Insight,
    *,
    origin: str = "advisor",
    candidate: str | None = None,
    base: str | None = None,
    hint: str | None = None,
    notes: Sequence[str] = (),
) -> DraftRecord:
    """Drafts both documents, for `candidate` where one is named.

    Candidates that cannot be applied are dropped for the next best, and those that a hint rules out are not
    offered. Raises `InputError` when none is left, or when `candidate` is not on offer. `notes` are told in the draft.
    """
    ws = context.ws
    number = _rounds(ws, version) + 1
    # what the user asks for by name counts for more than what was said before
    left = {} if candidate else hints.left_out(ws, context.rules, insight, _hints(ws, hint))
    offered = [c for c in _offered(insight, candidate) if c.id not in left]
    asked = hints.told(left)
    if hint and (first := hints.wanted(hint, [c.id for c in offered])):
        asked = (*asked, f'put first because of your hint "{hint}": {", ".join(first)}')
    while offered:
        present = insight.model_copy(update={"candidates": tuple(offered)})
        briefing = brief(context.ws, context.rules, present, hint)
        context.journal.write("draft_started", version=version, round=number)
        made = _ask_advisor(context, version, briefing)
        chosen = present.candidate(made.chosen) or offered[0]
        if candidate is None and code_edit.is_edit(chosen) and made.model_sha256 is None:
            # a model whose draft cannot be used has no say in code either
            notes = (*notes, f"{chosen.id} is left out: the draft of the model that proposed it could not be used")
            offered.remove(chosen)
            continue
        made = made.model_copy(update={"notes": (*notes, *made.notes), "asked": asked})
        try:
            planned = next_script.plan(ws, context.rules, version, chosen.operation, base=base or chosen.base)
            if candidate is None:  # what somebody asked for by name is shown with what is wrong about it
                addition.prepared(context, version, planned.operation, planned.base)
        except (InputError, StepFailed) as error:
            if candidate is not None:
                raise
            context.journal.write("note", text=f"{version}: candidate {chosen.id} is dropped: {error.reason}")
            offered.remove(chosen)
        else:
            # all candidates stay in the documents, also when one alone was asked for
            shown = present if candidate is None else insight
            return write_round(context, version, shown, made, chosen, number, origin=origin, base=base, hint=hint)
    raise _nothing_left(context, hint, hinted=bool(left))


def _nothing_left(context: Context, hint: str | None, *, hinted: bool) -> InputError | NothingToTry:
    """`hinted`: whether hints have taken something out."""
    if hinted and hint:
        return InputError(
            f"with this hint no candidate is left: {hint}",
            fix="give another hint, or take an earlier one back (progtrain review forget)",
        )
    return NothingToTry(
        "no candidate is left that the rules allow and the script can take",
        file=context.rules.path,
        fix="take a hint back (progtrain review forget), and run again to go on"
        if hinted
        else "unlock a setting in rules or instruction, and run again to go on",
    )


def write_round(
    context: Context,
    version: str,
    insight: Insight,
    made: Draft,
    chosen: Candidate,
    number: int,
    *,
    origin: str,
    base: str | None,
    hint: str | None,
) -> DraftRecord:
    """Writes both documents and, last, the record of the round."""
    folder = context.ws.drafts(version)
    if base:
        chosen = chosen.model_copy(update={"base": base})
    analysis = documents.render_analysis(version, insight, made)
    source = version_files.read(context.ws, chosen.base or version)
    action = documents.render_action(version, insight, made, chosen, source=source)
    write_text(folder.analysis, analysis)
    write_text(folder.action, action)
    record = DraftRecord.model_validate(
        {
            "version": version,
            "round": number,
            "origin": origin,
            "candidate": chosen.id,
            "base": chosen.base,
            "hint": hint,
            "settings": settings(context.rules, context.ws, seed=made.seed),
            "analysis_sha256": sha256_text(analysis),
            "action_sha256": sha256_text(action),
            "draft": made,
        }
    )
    write_text(folder.draft, record.model_dump_json(indent=2) + "\n")
    _keep_round(context.ws, version, number)
    context.journal.write(
        "draft_ready",
        version=version,
        round=number,
        author=made.author,
        chosen=chosen.id,
        seconds=made.seconds,
        notes=list(made.notes),
    )
    return record


def write_edit(context: Context, version: str, record: DraftRecord, analysis: str | None, action: str | None) -> None:
    """A round that the user wrote: the texts as they are."""
    folder = context.ws.drafts(version)
    number = _rounds(context.ws, version) + 1
    if analysis is not None:
        write_text(folder.analysis, analysis)
    if action is not None:
        write_text(folder.action, action)
    edit = record.model_copy(update={"round": number, "origin": "edit"})
    write_text(folder.draft, edit.model_dump_json(indent=2) + "\n")
    _keep_round(context.ws, version, number)


def _rounds(ws: Workspace, version: str) -> int:
    record = current(ws, version)
    return record.round if record else 0


def _keep_round(ws: Workspace, version: str, number: int) -> None:
    """Copies a round into `rounds/`, so that nothing which was drafted is lost whatever is edited later."""
    folder, target = ws.drafts(version), ws.drafts(version).round(number)
    target.path.mkdir(parents=True, exist_ok=True)
    kept = (folder.briefing, folder.draft, folder.events, folder.log, folder.analysis, folder.action, folder.proposal)
    for source in kept:
        if source.is_file():
            copy_file(source, target.path / source.name)


def _offered(insight: Insight, only: str | None) -> list[Candidate]:
    """All candidates, or the one that is asked for."""
    found = [c for c in insight.candidates if only in (None, c.id)]
    if only is not None and not found:
        known = ", ".join(c.id for c in insight.candidates)
        raise InputError(f"there is no candidate {only!r}", fix=f"choose one of: {known}")
    return found


def _hints(ws: Workspace, hint: str | None) -> tuple[str, ...]:
    """All that count, a new one last."""
    given = decisions.hints(ws)
    return given if hint is None or hint in given else (*given, hint)


def brief(ws: Workspace, rules: Rules, insight: Insight, hint: str | None = None) -> Briefing:
    """What the advisor gets to see: the insight, and what the user has said so far."""
    briefing = insight.briefing(
        instruction=[line.text for line in rules.instruction.lines],
        hints=_hints(ws, hint),
        limits=[f"{key} stays {value}" for key, value in rules.locks_shown()],
    )
    ids = [option.id for option in briefing.options]
    first = hints.wanted(hint, ids) if hint else ()
    order = sorted(briefing.options, key=lambda option: (option.id not in first, option.rank))
    # what the user asks for by name counts for more than what the rules are sure of
    options = [
        option.model_copy(update={"rank": place, "score": option.score + (_ASKED_FOR if option.id in first else 0.0)})
        for place, option in enumerate(order, start=1)
    ]
    tried = [t.model_copy(update={"instead_of": overruled(ws, t.version)}) for t in briefing.tried]
    return briefing.model_copy(update={"tried": tuple(tried), "options": tuple(options)})


def with_proposal(
    context: Context, version: str, insight: Insight, *, hint: str | None = None
) -> tuple[Insight, tuple[str, ...]]:
    """The insight with a code edit among its candidates, where that is allowed and the model has one."""
    briefing = brief(context.ws, context.rules, insight, hint)
    asked = settings(context.rules, context.ws, seed=context.rules.seed)
    return code_edit.with_proposal(context, version, insight, asked, briefing)


def overruled(ws: Workspace, version: str) -> str:
    """What the advisor had proposed where the user made `version` with something else; "" where they agreed."""
    before = version_id((version_number(version) or 1) - 1)
    final = current(ws, before)
    if final is None or final.origin == "advisor":
        return ""
    for number in range(final.round, 0, -1):
        path = ws.drafts(before).round(number).draft
        if path.is_file() and (found := load(path, DraftRecord)).origin == "advisor":
            changed = any(line.endswith(CHANGE) or f"{CHANGE}," in line for line in changed_by_user(ws, final))
            return found.candidate or "" if changed or found.candidate != final.candidate else ""
    return ""


def _ask_advisor(context: Context, version: str, briefing: Briefing) -> Draft:
    folder = context.ws.drafts(version)
    write_text(folder.briefing, briefing.model_dump_json(indent=2) + "\n")
    folder.events.unlink(missing_ok=True)
    asked = settings(context.rules, context.ws, seed=context.rules.seed)
    return context.draft(briefing, asked, events=folder.events, log=folder.log)


def changed_by_user(ws: Workspace, record: DraftRecord) -> list[str]:
    """What somebody changed in the documents since the advisor drafted them, a line each document."""
    folder = ws.drafts(record.version)
    drafted = _last_drafted(ws, record)
    lines = []
    for now, before in ((folder.analysis, drafted.analysis), (folder.action, drafted.action)):
        old, new = _sections(read_text(before)), _sections(read_text(now))
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        if names:
            lines.append(f"{now.name}: {', '.join(names)}")
    return lines


def _last_drafted(ws: Workspace, record: DraftRecord) -> DraftFolder:
    """The newest round that the advisor wrote."""
    for number in range(record.round, 0, -1):
        folder = ws.drafts(record.version).round(number)
        if folder.draft.is_file() and load(folder.draft, DraftRecord).origin != "edit":
            return folder
    return ws.drafts(record.version)


def _sections(text: str) -> dict[str, str]:
    """Heading -> the text below it."""
    found: dict[str, str] = {}
    name = "above the first heading"
    for line in text.splitlines():
        if line.startswith("#"):
            name = line.lstrip("#").strip()
        elif line.strip():
            found[name] = found.get(name, "") + line.strip() + "\n"
    return found
