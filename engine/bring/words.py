"""A table of texts with a label each."""

from __future__ import annotations

from progtrain.engine.bring.brought import Brought, Sample, counted, named
from progtrain.engine.bring.columns import position
from progtrain.engine.bring.folders import digest
from progtrain.engine.bring.table import Table, is_missing
from progtrain.engine.errors import InputError
from progtrain.engine.text import clean_line

_LABELS = ("label", "target", "class", "category", "sentiment", "y")


def guess_label(table: Table) -> str:
    """By its name, else the last column that is not the text."""
    named_so = [name for name in table.header if name.casefold() in _LABELS]
    others = [name for name in table.header if name != _longest(table, "")]
    return (named_so or others or table.header)[-1]


def read(table: Table, target: str) -> Brought:
    """The text is the column with the longest cells. Raises `InputError`."""
    at = position(table, target)
    if len(table.header) < 2:
        raise InputError("it has one column: texts and their labels need two", file=table.path, fix="bring both")
    text = _longest(table, table.header[at])
    place, said = table.header.index(text), list(table.said)
    said.append(f"texts are those of column {clean_line(text)!r}, labels those of {clean_line(table.header[at])!r}")
    others = [clean_line(name) for name in table.header if name not in (text, table.header[at])]
    if others:
        said.append(f"left out: {named([repr(name) for name in others], 'column')}")
    gone = [number for number, row in table.rows if is_missing(row[at], target=True) or not row[place]]
    if gone:
        said.append(f"{counted(len(gone), 'row')} without text or label left out: {named(gone)}")
    samples = [
        Sample(f"row {number}", [row[place]], row[at], digest(row[place]))
        for number, row in table.rows
        if not is_missing(row[at], target=True) and row[place]
    ]
    return Brought(table.path, ["text"], table.header[at], "classification", samples, said)


def _longest(table: Table, but: str) -> str:
    places = [place for place, name in enumerate(table.header) if name != but]
    return table.header[max(places, key=lambda place: sum(len(row[place]) for _, row in table.rows))]
