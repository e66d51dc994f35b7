"""One round of drafting: the advisor writes and chooses, the engine checks that the choice can be applied."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from advisor import process
from advisor.interface import Briefing, Draft, Settings
from engine import authoring, decisions
from engine.context import Context, Stopped
from engine.errors import InputError, NothingToTry
from engine.files import read_text, sha256_text, write_text
from engine.insight import documents
from engine.insight.types import Candidate, Insight
from engine.rules import Rules
from engine.schema import load
from engine.workspace import DraftFolder, Workspace


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
    #: of both documents as they were drafted: tells whether somebody edited them since
    analysis_sha256: str
    action_sha256: str
    draft: Draft


def settings(rules: Rules, ws: Workspace, *, seed: int) -> Settings:
    """The advisor's settings from the rules; a relative model path is below the workspace."""
    config = rules.file.advisor_config
    return Settings(
        model=None if config.model is None else (ws.root / Path(config.model).expanduser()),
        context_tokens=config.context_tokens,
        gpu_layers=config.gpu_layers or 0,
        threads=config.threads,
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
) -> DraftRecord:
    """Drafts both documents, for `candidate` where one is named.

    Candidates that cannot be applied are dropped for the next best (L4). Raises `InputError` when none is left, or
    when `candidate` is not on offer.
    """
    ws = context.ws
    number = _rounds(ws, version) + 1
    offered = _offered(insight, candidate)
    while offered:
        present = insight.model_copy(update={"candidates": tuple(offered)})
        briefing = _briefing(context, present, hint)
        context.journal.write("draft_started", version=version, round=number)
        made = _ask_advisor(context, version, briefing)
        chosen = present.candidate(made.chosen) or offered[0]
        try:
            authoring.plan(ws, context.rules, version, chosen.operation, base=base or chosen.base)
        except InputError as error:
            if candidate is not None:
                raise
            context.journal.write("note", text=f"{version}: candidate {chosen.id} is dropped: {error.reason}")
            offered.remove(chosen)
        else:
            # all candidates stay in the documents, also when one alone was asked for
            shown = present if candidate is None else insight
            return write_round(context, version, shown, made, chosen, number, origin=origin, base=base, hint=hint)
    raise NothingToTry(
        "no candidate is left that the rules allow and the script can take",
        file=context.rules.path,
        mend="unlock a setting in rules or instruction, and run again to go on",
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
    source = read_text(context.ws.script(chosen.base or version))
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
    for source in (folder.briefing, folder.draft, folder.events, folder.log, folder.analysis, folder.action):
        if source.is_file():
            shutil.copy2(source, target.path / source.name)


def _offered(insight: Insight, only: str | None) -> list[Candidate]:
    """All candidates, or the one that is asked for."""
    found = [c for c in insight.candidates if only in (None, c.id)]
    if only is not None and not found:
        known = ", ".join(c.id for c in insight.candidates)
        raise InputError(f"there is no candidate {only!r}", mend=f"choose one of: {known}")
    return found


def _briefing(context: Context, insight: Insight, hint: str | None) -> Briefing:
    given = decisions.hints(context.ws)
    hints = given if hint is None or hint in given else (*given, hint)
    return insight.briefing(
        instruction=[line.text for line in context.rules.instruction.lines],
        hints=hints,
        limits=[f"{key} stays {value}" for key, value in context.rules.locks_shown()],
    )


def _ask_advisor(context: Context, version: str, briefing: Briefing) -> Draft:
    folder = context.ws.drafts(version)
    write_text(folder.briefing, briefing.model_dump_json(indent=2) + "\n")
    folder.events.unlink(missing_ok=True)
    try:
        return process.draft(
            briefing,
            settings(context.rules, context.ws, seed=context.rules.file.seed),
            events=folder.events,
            log=folder.log,
            should_cancel=lambda: decisions.stop_requested(context.ws),
        )
    except process.Cancelled as error:
        raise Stopped from error


def changed_by_user(ws: Workspace, record: DraftRecord) -> list[str]:
    """What somebody changed in the documents since the advisor drafted them, a line each document (A6)."""
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
