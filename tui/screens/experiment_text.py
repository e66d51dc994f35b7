"""How an experiment is told: its head, a row of the table, and all of one run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from progtrain.engine.values import places
from progtrain.tui.look import words
from progtrain.tui.look.colours import BAD, GOOD, NEEDS_YOU, NOW, QUIET, verdict_colour, version_colour
from progtrain.tui.look.sanitize import as_text, clean_line, shorten
from progtrain.tui.widgets.row_list import Column, Row

if TYPE_CHECKING:
    from progtrain.engine.experiment.board import Board, RunRow
    from progtrain.tui.experimenting import Verb

#: below, a row has its name, state, metric and ETA alone
_WIDE = 100
#: of a state with its reason, and what other columns mostly need: a longer one would cost some of them their place.
#: All of it stands below the table
_WIDEST_STATE, _OTHERS = 24, 94
#: of a value that varies
_WIDEST_VALUE = 12
_BAR = 8

_PHASE_STYLE = {
    "running": NOW,
    "evaluating": NOW,
    "checking": NOW,
    "submitting": NOW,
    "done": GOOD,
    "trained": GOOD,
    "failed": BAD,
    "lost": BAD,
    "waiting": NEEDS_YOU,
    "stale": NEEDS_YOU,
}
_STAGE_STYLE = {"done": GOOD, "running": f"bold {NOW}", "waiting": f"bold {NEEDS_YOU}", "failed": f"bold {BAD}"}
#: status -> what `s` does, and how that is said
NEXT: Mapping[str, tuple[Verb, str]] = {
    "planned": ("scaffold", "writes what each run needs"),
    "stale": ("scaffold", "writes anew what the plan has changed"),
    "scaffolded": ("run", "trains and evaluates"),
    "stopped": ("run", "goes on"),
    "without runner": ("run", "no runner is at work: starts one"),
    "partly": ("resume", "starts again what failed"),
    "failed": ("resume", "starts again what failed"),
    "done": ("analyze", "compares the runs"),
}


def head(board: Board, signs: words.Signs, width: int, note: str = "") -> Text:
    """Question and status; the stages; where it runs, and what comes next."""
    first = Text(" ", no_wrap=True).append(shorten(clean_line(board.name), 32), "bold")
    style = NOW if board.running else NEEDS_YOU if board.status in ("without runner", "stale") else QUIET
    first.append(f"  {board.status}  ", style)
    first.append(shorten(clean_line(board.question), max(8, width - first.cell_len - 1)))
    last = Text(" ").append(_where(board), BAD if board.stale else QUIET)
    last.append(f"   {_hours(board)}", QUIET)
    lines = [first, _stages(board, signs, width), last]
    if not board.running and board.status in NEXT and not _analysed(board):
        last.append("   s ", "bold").append(NEXT[board.status][1])
    for told, colour in ((board.trouble, BAD), (note, NEEDS_YOU)):
        if told:
            lines.append(Text(f" {shorten(clean_line(told), max(8, width - 2))}", colour))
    return Text("\n").join(lines)


def _analysed(board: Board) -> bool:
    return board.status == "done" and board.stages[-1][1] == "done"


def _stages(board: Board, signs: words.Signs, width: int) -> Text:
    line = Text(" ", no_wrap=True)
    for place, (name, held, done, of) in enumerate(board.stages):
        line.append(f"{'' if not place else ' > ' if width < 60 else '  >  '}", QUIET)
        count = "" if done is None else f" {done}/{of}"
        line.append(f"{words.step_sign(held, signs)} {name}{count}", _STAGE_STYLE.get(held, QUIET))
    return line


def _where(board: Board) -> str:
    if board.executor == "local":
        return "on this machine"
    if board.answered is None:
        return f"{board.executor}: not asked yet"
    age = words.clock(board.answered)
    if not board.running and (board.stale or board.status == "without runner"):
        return f"{board.executor}: nobody asks it, states are {age} old"
    return f"{board.executor} has not answered for {age}" if board.stale else f"{board.executor} answered {age} ago"


def _hours(board: Board) -> str:
    used, most = board.hours
    told = f"{used:.1f} h" if used >= 1 else f"{60 * used:.0f} min"
    return f"{told} used" if most is None else f"{told} of at most {most:.1f} h"


# the table


def columns(board: Board, width: int) -> list[Column]:
    metric = shorten(clean_line(board.metric), 14) or "metric"
    if width < _WIDE:
        return [
            Column(""),
            Column("run"),
            Column("state", stretch=True),
            Column(metric, "right"),
            Column("ETA", "right"),
        ]
    varied = [Column(shorten(clean_line(name), _WIDEST_VALUE), "right", spare=6) for name in board.varied]
    return [
        Column(""),
        Column("run"),
        *varied,
        Column("state", stretch=True),
        Column("progress", spare=5),
        Column("ETA", "right"),
        Column(metric, "right"),
        Column("95 %", spare=3),
        Column("verdict", spare=2),
        Column("job", "right", spare=7),
        Column("node", spare=8),
        Column("tries", "right", spare=9),
    ]


def rows(board: Board, marked: Collection[str], signs: words.Signs, width: int, wanted: str = "") -> list[Row]:
    """Those that hold the text `wanted`, in the order of the plan. Their colours are those of their curves."""
    decimals = places(row.metric for row in board.rows)
    found = []
    for place, row in enumerate(board.rows):
        if wanted.casefold() in searchable(row):
            is_marked = row.run in marked
            found.append(
                Row(
                    row.run,
                    source=(row, is_marked, decimals, place, width),
                    make=lambda row=row, is_marked=is_marked, place=place: _cells(  # type: ignore[misc]
                        row, is_marked, f"v{place + 1:03d}", decimals, signs, width
                    ),
                )
            )
    return found


def searchable(row: RunRow) -> str:
    return " ".join((row.run, row.type, *row.values, row.phase, row.reason, row.node, row.job)).casefold()


def _cells(
    row: RunRow, marked: bool, colour_of: str, decimals: int, signs: words.Signs, width: int
) -> tuple[Text, ...]:
    name = as_text(shorten(clean_line(row.run), 24 if width < _WIDE else 34), f"bold {version_colour(colour_of)}")
    first = Text(signs.marked if marked else " ", end=""), name
    left = row.progress.get("seconds_left")
    eta = as_text(words.clock(left) if isinstance(left, int | float) else "", QUIET)
    metric = as_text(words.metric_value(row.metric, signs, decimals) if row.metric is not None else "")
    if width < _WIDE:
        return *first, as_text(*_state(row, short=True)), metric, eta
    values = (as_text(shorten(clean_line(value), _WIDEST_VALUE)) for value in row.values)
    verdict = as_text(row.verdict or "", verdict_colour(row.verdict))
    place = as_text(row.job, QUIET), as_text(shorten(clean_line(row.node), 16), QUIET)
    tries = as_text(row.attempts or "", NEEDS_YOU if row.attempts > 1 else QUIET)
    told, style = _state(row)
    state = as_text(shorten(clean_line(told), max(_WIDEST_STATE, width - _OTHERS)), style)
    interval = as_text(_interval(row, decimals, signs), QUIET)
    return *first, *values, state, _progress(row, signs), eta, metric, interval, verdict, *place, tries


def _state(row: RunRow, *, short: bool = False) -> tuple[str, str]:
    """In words, and its colour. `short`: with how far it is, since no other column says so."""
    style = _PHASE_STYLE.get(row.phase, QUIET)
    if row.phase == "running":
        told = "trains" if row.what == "train" else f"runs {row.what}"
    elif row.phase == "evaluating":
        told = f"evaluates {row.what}".strip()
    else:
        told = row.phase
    share = _share(row)
    far = f" {share:.0%}" if short and share is not None else ""
    return (
        f"{told}{far}{f' {row.reason}' if row.phase == 'evaluating' else f': {row.reason}' if row.reason else ''}",
        style,
    )


def _share(row: RunRow) -> float | None:
    step, steps = row.progress.get("step"), row.progress.get("steps")
    if isinstance(step, int | float) and isinstance(steps, int | float) and steps > 0 and math.isfinite(step / steps):
        return max(0.0, min(1.0, step / steps))
    return None


def _progress(row: RunRow, signs: words.Signs) -> Text:
    share, step, epoch = _share(row), row.progress.get("step"), row.progress.get("epoch")
    if share is not None:
        told = f"{words.bar(share, _BAR, signs)} {share:.0%}"
    else:
        told = f"step {step}" if step is not None else f"epoch {epoch}" if epoch is not None else ""
    return as_text(told, NOW)


def _interval(row: RunRow, decimals: int, signs: words.Signs) -> str:
    """Half of its width: the ends stand below the table."""
    if row.interval is None:
        return ""
    half = words.metric_value(abs(row.interval[1] - row.interval[0]) / 2, signs, decimals)
    return f"{'+-' if signs is words.ASCII else '±'}{half}"


def as_csv(board: Board) -> str:
    lines: list[tuple[object, ...]] = [
        ("run", "type", *board.varied, "state", "reason", board.metric or "metric", "low", "high", "verdict")
    ]
    for row in board.rows:
        low, high = row.interval or ("", "")
        metric = "" if row.metric is None else row.metric
        lines.append((row.run, row.type, *row.values, row.phase, row.reason, metric, low, high, row.verdict or ""))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


# one run


def run_line(board: Board, row: RunRow, signs: words.Signs) -> Text:
    """All of it, for a place that wraps."""
    text = Text(shorten(clean_line(row.run), 200), "bold")
    told = [f"{name} {value}" for name, value in zip(board.varied, row.values, strict=True) if value]
    told = [*told, *([row.type] if row.type != "trained" else [])]
    text.append(clean_line(f"  {', '.join(told)}"), f"not bold {QUIET}")
    state, style = _state(row)
    text.append("\n").append(shorten(clean_line(state), 600), f"not bold {style}")
    if row.advice:
        text.append(f"; {clean_line(row.advice)}", f"not bold {NEEDS_YOU}")
    far = [f"{key} {row.progress[key]}" for key in ("epoch", "step") if row.progress.get(key) is not None]
    where = [f"job {row.job}" if row.job else "", row.node, *far, f"attempt {row.attempts}" if row.attempts else ""]
    if any(where):
        text.append(clean_line("  " + "  ".join(part for part in where if part)), f"not bold {QUIET}")
    if row.metric is not None:
        text.append(f"\n{clean_line(board.metric)} {words.metric_value(row.metric, signs)}", "not bold")
        if row.interval is not None:
            ends = " to ".join(words.metric_value(end, signs) for end in row.interval)
            text.append(f"  95 % interval {ends}", f"not bold {QUIET}")
        if row.verdict:
            against = f" than {board.against}" if row.verdict in ("better", "worse") else f" of {board.against}"
            text.append(f"  {row.verdict}{clean_line(against)}", f"not bold {verdict_colour(row.verdict)}")
    return text
