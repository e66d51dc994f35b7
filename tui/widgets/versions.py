"""The version history: a table, the note on one version, and one folded line."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text

from progtrain.engine.values import places
from progtrain.tui.look import words
from progtrain.tui.look.colours import NEEDS_YOU, NOW, QUIET, verdict_colour, version_colour
from progtrain.tui.look.sanitize import as_text, clean_line, shorten
from progtrain.tui.model import Model
from progtrain.tui.widgets.row_list import Column, Row, RowList

if TYPE_CHECKING:
    from progtrain.engine.status.snapshot import Snapshot, VersionView


class VersionTable(RowList):
    def __init__(self, *, signs: words.Signs) -> None:
        super().__init__([], id="versions", empty="no version yet")
        self.border_title = "versions"
        self._signs = signs
        self._source: tuple[object, ...] = ()

    def show(self, model: Model) -> None:
        snapshot = model.snapshot
        if snapshot is None:
            return
        diverged = model.diverged()
        source = (snapshot.versions, snapshot.primary_metric, frozenset(model.marked), snapshot.version, diverged)
        if source != self._source:
            self._source = source
            newest = self.cursor == 0
            self.show_rows(version_rows(snapshot, model.marked, self._signs, diverged), version_columns(snapshot))
            if newest:
                self.cursor = 0  # who looks at the newest goes on with the newest


def version_columns(snapshot: Snapshot) -> list[Column]:
    metric = shorten(clean_line(snapshot.primary_metric or "metric"), 12)
    return [
        Column(""),
        Column("ver"),
        Column(metric, "right"),
        Column("Δprev", "right"),
        Column("Δbest", "right", spare=1),
        Column("verdict"),
        Column("action", stretch=True, spare=2),
    ]


def version_rows(snapshot: Snapshot, marked: set[str], signs: words.Signs, diverged: Collection[str] = ()) -> list[Row]:
    """The newest first. `diverged`: versions whose newest loss is not finite."""
    rows = []
    decimals = places(view.value for view in snapshot.versions)
    for view in reversed(snapshot.versions):
        source = (view, decimals, snapshot.higher_is_better, view.version in marked, view.version in diverged)
        rows.append(Row(view.version, source=source, make=partial(_cells, *source, signs)))
    return rows


def _cells(
    view: VersionView, decimals: int, up: bool, marked: bool, diverged: bool, signs: words.Signs
) -> tuple[Text, ...]:
    colour = version_colour(view.version)
    verdict = view.verdict_previous
    shown, style = "noise" if verdict == "within noise" else verdict or "", verdict_colour(verdict)
    if not shown and view.value is not None:
        shown = "first" if view.base is None else ""
    elif view.value is None:
        shown, style = shown or view.state, _state_style(view)
    if diverged:
        shown, style = "diverged", f"bold {verdict_colour('worse')}"
    return (
        version_mark(view, marked, signs),
        as_text(view.version, f"bold {colour}"),
        as_text(words.metric_value(view.value, signs, decimals)),
        _change(view.delta_previous, verdict, up, signs, decimals),
        _change(view.delta_best, view.verdict_best, up, signs, decimals),
        as_text(shown, style),
        as_text(view.action, QUIET),
    )


def version_mark(view: VersionView, marked: bool, signs: words.Signs) -> Text:
    known = {
        "waiting": signs.waiting,
        "failed": signs.failed,
        "done": " ",
        "pending": signs.pending,
        "stopped": signs.off,
    }
    sign = signs.best if view.is_best else known.get(view.state, signs.running)
    return Text(f"{signs.marked if marked else ' '}{sign}", style=_state_style(view), end="")


def _state_style(view: VersionView) -> str:
    if view.state == "waiting":
        return f"bold {NEEDS_YOU}"
    if view.state in {"done", "pending", "stopped"}:
        return "bold" if view.is_best else QUIET
    return f"bold {verdict_colour('worse')}" if view.state == "failed" else f"bold {NOW}"


def _change(delta: float | None, verdict: str | None, up: bool, signs: words.Signs, decimals: int) -> Text:
    if delta is None:
        return as_text(signs.none, QUIET)
    sign = words.change_sign(delta, verdict, up, signs)
    return as_text(f"{sign}{words.signed(delta, signs, decimals)}", verdict_colour(verdict))


def action_note(view: VersionView | None) -> Text:
    """What was changed in a version, and why."""
    if view is None:
        return Text("")
    text = Text(f"action of {view.version}", style=QUIET)
    if view.base:
        text.append(f"  from {view.base}")
    text.append(f"\n{clean_line(view.action) or 'the baseline, as it is'}", style="bold")
    if view.reason:
        text.append(f"\n{clean_line(view.reason)}", style=QUIET)
    facts = []
    if view.train_seconds is not None:
        facts.append(f"trained {words.clock(view.train_seconds)}")
    if view.latency_ms is not None:
        facts.append(f"{view.latency_ms:.2f} ms a sample")
    if view.attempts > 1:
        facts.append(f"{view.attempts} attempts")
    if facts:
        text.append(f"\n{'  '.join(facts)}", style=QUIET)
    if view.runs > 1:
        mean, spread = words.metric_value(view.mean), words.metric_value(view.spread)
        text.append(f"\n{view.runs} runs with other seeds: mean {mean}, sd {spread}", style=QUIET)
    if view.seed_noise:
        text.append(f"\nverdict: {clean_line(view.seed_noise)}", style=QUIET)
    for warning in view.warnings[:2]:
        text.append(f"\n{clean_line(warning)}", style=NEEDS_YOU)
    return text


def version_line(snapshot: Snapshot | None, signs: words.Signs) -> Text:
    """The history folded to one line, for small terminals: `★ v003 0.9611 ▲  ▶ v004 training`."""
    text = Text(" ", no_wrap=True, overflow="ellipsis")
    if snapshot is None or not snapshot.versions:
        return text.append("no version yet", QUIET)
    best = next((v for v in snapshot.versions if v.is_best), None)
    last = snapshot.versions[-1]
    for view in [best, last] if best is not None and best is not last else [last]:
        text.append_text(version_mark(view, False, signs)).append(" ")
        text.append(view.version, f"bold {version_colour(view.version)}").append(" ")
        if view.value is not None:
            sign = words.change_sign(view.delta_previous, view.verdict_previous, snapshot.higher_is_better, signs)
            text.append(f"{words.metric_value(view.value)} {sign}", verdict_colour(view.verdict_previous))
        else:
            text.append(view.state, _state_style(view))
        text.append("   ")
    return text.append(clean_line(last.action), QUIET)
