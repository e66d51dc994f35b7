"""A draft made again from what is kept of it, and compared: the same briefing, model, settings and seed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from progtrain.advisor import process
from progtrain.advisor.interface import Briefing, Draft, Settings
from progtrain.advisor.locate import bundled_model
from progtrain.engine.drafting import rounds
from progtrain.engine.drafting.rounds import DraftRecord
from progtrain.engine.errors import InputError
from progtrain.engine.files import sha256
from progtrain.engine.schema import load
from progtrain.engine.script.action.catalogue import with_words
from progtrain.engine.workspace import Workspace


def redo(ws: Workspace, version: str, number: int | None = None) -> tuple[int, str, list[str]]:
    """Makes round `number` (by default the newest that the advisor wrote) again. Nothing in the workspace changes.

    Returns the round, its author now, and what differs, a line each; none when it came out the same. Raises
    `InputError` where something that it was made with is no longer there.
    """
    number = number or _newest(ws, version)
    folder = ws.drafts(version).round(number)
    if not folder.draft.is_file() or not folder.briefing.is_file():
        raise InputError(
            f"there is no round {number} of a draft of {version}",
            file=folder.path,
            fix="progtrain journal shows what was drafted",
        )
    record = load(folder.draft, DraftRecord)
    settings = _settings(record, folder.draft)
    kept = with_words(load(folder.briefing, Briefing))
    with tempfile.TemporaryDirectory(prefix="progtrain-") as place:
        again = process.draft(kept, settings, events=Path(place) / "events.jsonl", log=Path(place) / "advisor.log")
    return number, again.author, _differences(record.draft, again)


def _newest(ws: Workspace, version: str) -> int:
    record = rounds.current(ws, version)
    if record is None:
        raise InputError(f"nothing was drafted for {version}", fix=f"progtrain step analyze --version {version}")
    for number in range(record.round, 0, -1):
        path = ws.drafts(version).round(number).draft
        if path.is_file() and load(path, DraftRecord).origin != "edit":
            return number
    return record.round


def _settings(record: DraftRecord, path: Path) -> Settings:
    if record.settings is None:
        raise InputError("it does not say what the advisor was run with", file=path, fix="draft it again")
    wanted = record.draft.model_sha256
    model = record.settings.model or bundled_model()
    if wanted is not None:
        if not model.is_file():
            raise InputError("the model that drafted it is gone", file=model, fix="put the file back")
        if sha256(model) != wanted:
            raise InputError(
                f"this is not the model that drafted it (sha256 {wanted[:12]})", file=model, fix="put that one back"
            )
    return record.settings


def _differences(before: Draft, after: Draft) -> list[str]:
    """By what stands in both; times aside, and the notes that the engine adds."""
    found = []
    if before.author != after.author:
        found.append(f"it was drafted by {before.author}, and now by {after.author}")
    if before.prompt != after.prompt:
        found.append("the prompt is another: this progtrain words it in another way")
    if before.raw != after.raw:
        common = next((i for i, (a, b) in enumerate(zip(before.raw, after.raw, strict=False)) if a != b), None)
        place = min(len(before.raw), len(after.raw)) if common is None else common
        found.append(f"the model's own words differ from character {place + 1}: {after.raw[place : place + 40]!r}")
    if before.chosen != after.chosen:
        found.append(f"{before.chosen} was chosen, and now {after.chosen}")
    elif before.ranking != after.ranking:
        found.append("the same choice, with other probabilities")
    parts = [name for name, text in before.prose if text != getattr(after.prose, name)]
    if parts and not found:
        found.append(f"other sentences in {', '.join(parts)}")
    return found
