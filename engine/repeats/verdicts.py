"""Verdicts that were given before the noise of training was measured are worked out anew."""

from __future__ import annotations

from functools import cache, partial

from progtrain.engine.analysis.gather import gather
from progtrain.engine.analysis.types import Insight
from progtrain.engine.control import marks
from progtrain.engine.control.context import Context
from progtrain.engine.drafting import history, next_script
from progtrain.engine.errors import InputError
from progtrain.engine.files import write_text
from progtrain.engine.repeats import found

#: of an insight, what seed noise decides; candidates and findings stay those that the user was shown
_DECIDED = ("metrics", "against_previous", "against_best", "against_base", "trade_offs", "added_rows")


def reconsider(context: Context) -> None:
    """Of all versions that were analyzed. The draft of the last one is made anew, where nobody has accepted it yet."""
    ws = context.ws
    repeats_of = cache(partial(found.of, ws))  # each is asked for by all versions after it
    for version in ws.versions():
        before = history.read_insight(ws, version)
        if before is None:
            continue
        records = history.records(ws, context.rules, until=version)
        repeats = {one.version: repeats_of(one.version) for one in records if one.comparable}
        try:
            after = gather(ws, version, next_script.limits(context.rules), records, (), repeats)
        except InputError as error:
            context.journal.warn(f"{version}: {error.located}: its verdicts stay as they are")
            continue
        changed = before.model_copy(update={name: getattr(after, name) for name in _DECIDED})
        if changed == before:
            continue
        write_text(ws.insight(version), changed.to_json())
        if told := _told(before, changed):
            context.journal.write("note", text=f"{version}: {told}")
        if marks.read(ws, version, "extract") is None:
            marks.remove(ws, version, "analyze")


def _told(before: Insight, after: Insight) -> str:
    """The verdict by the primary metric, where it is another one now."""
    old, new = before.against_previous, after.against_previous
    if old is None or new is None or old.verdict == new.verdict:
        return ""
    return f"{new.verdict} against {new.against}, no longer {old.verdict} ({new.seed_noise})"
