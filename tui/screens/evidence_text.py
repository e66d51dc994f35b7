"""Imported runs as rows of a table: by name, without a rank, since nobody knows how they were measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.text import Text

from progtrain.engine.trackers.imports_kept import NOT_COMPARED, Kept, settings_text, value_of
from progtrain.engine.values import places
from progtrain.tui.look import words
from progtrain.tui.look.colours import QUIET
from progtrain.tui.look.sanitize import as_text, clean_line, shorten
from progtrain.tui.widgets.row_list import Column, Row

TITLE = f"imported runs  {NOT_COMPARED}"
EMPTY = "no run is imported: progtrain import reads those of other trackers"


def columns(metric: str | None) -> list[Column]:
    return [
        Column("run"),
        Column("from"),
        Column(shorten(clean_line(metric or "metric"), 14), "right"),
        Column("points", "right", spare=2),
        Column("imported", spare=3),
        Column("settings", stretch=True),
    ]


def rows(runs: Sequence[Kept], metric: str | None, filter: str, signs: words.Signs) -> list[Row]:
    """Those whose name, tracker, settings or notes hold the filter."""
    shown = [run for run in runs if filter.casefold() in _searchable(run)]
    values = [value_of(run, metric) for run in shown]
    decimals = places(values)
    return [
        Row(run.name, _cells(run, words.metric_value(value, signs, decimals)))
        for run, value in zip(shown, values, strict=True)
    ]


def _cells(run: Kept, value: str) -> tuple[Text, ...]:
    told = "; ".join((settings_text(run), *run.notes))
    return (
        as_text(shorten(clean_line(run.name), 24), "bold"),
        as_text(run.source, QUIET),
        as_text(value),
        as_text(str(run.points), QUIET),
        as_text(run.imported_at[:10], QUIET),
        as_text(told, QUIET),
    )


def _searchable(run: Kept) -> str:
    return f"{run.name} {run.run} {run.source} {settings_text(run, 2000)} {' '.join(run.notes)}".casefold()


def as_csv(runs: Sequence[Kept]) -> str:
    names = list(dict.fromkeys(name for run in runs for name in run.final))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "source", *names])
    writer.writerows([run.name, run.source, *(run.final.get(name) for name in names)] for run in runs)
    return text.getvalue()
