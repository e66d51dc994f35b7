"""A table (CSV) as people have it: other separators and encodings, decimal commas, gaps, rows that do not fit."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from progtrain.engine.bring.brought import counted, named
from progtrain.engine.errors import InputError
from progtrain.engine.files import read_bytes
from progtrain.engine.text import clean_line

_MOST_BYTES = 1024**3
_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_NAMES = {";": "semicolons", "\t": "tabs", "|": "bars"}
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "#n/a", "?"})
#: besides, of what is learned from; a class may well be called so
_MISSING_INPUT = frozenset({"none", "-", "--", "missing", "unknown"})
#: what other files begin with -> what they are, and what to do
_OTHER_FILES = {
    b"PK\x03\x04": ("an Excel or zip file", "save it as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel file", "save it as CSV"),
    b"PAR1": ("a Parquet file", "write it as CSV: pandas.read_parquet(...).to_csv(..., index=False)"),
    b"\x1f\x8b": ("compressed", "unpack it: gunzip"),
    b"%PDF": ("a PDF", "bring the table as CSV"),
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass
class Table:
    path: Path
    header: list[str]
    #: row number as a spreadsheet has it, the header being row 1, and as many cells as the header
    rows: list[tuple[int, list[str]]]
    said: list[str] = field(default_factory=list)


def read(path: Path) -> Table:
    """Raises `InputError` for what is no table, with the row where one can be named."""
    text, said = _text(path)
    records = _records(path, text, said)
    if not records:
        raise InputError("it is empty", file=path, fix="name a CSV file with a header and rows")
    first, header = records[0]
    if len(records) > 1 and all(number(cell) is not None for cell in header if cell.strip()) and any(header):
        said.append(
            f"row {first} holds numbers alone: taken for data, and the columns are called column_1, column_2 ..."
        )
        header = ["" for _ in header]
    else:
        records = records[1:]
    table = Table(path, _names(header, said), [], said)
    short = []
    for place, cells in records:
        while len(cells) > len(header) and not cells[-1].strip():
            cells = cells[:-1]  # a separator too many at the end
        if len(cells) != len(header):
            short.append(place)
            continue
        table.rows.append((place, [cell.strip() for cell in cells]))
    if short:
        text = f"{counted(len(short), 'row has', 'rows have')} more or fewer cells than the header's {len(header)}"
        said.append(f"{text}, and {'is' if len(short) == 1 else 'are'} left out: {named(short)}")
    if not table.rows:
        raise InputError("it has a header and no usable row", file=path, fix="bring a table with rows")
    return table


def number(cell: str) -> float | None:
    """None for what is no number; infinite ones are none."""
    cell = cell.strip()
    if _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    return float(cell) if _NUMBER.fullmatch(cell) and abs(float(cell)) < float("inf") else None


def is_missing(cell: str, *, target: bool = False) -> bool:
    plain = cell.casefold()
    return plain in _MISSING or (not target and plain in _MISSING_INPUT)


def _text(path: Path) -> tuple[str, list[str]]:
    if not path.is_file():
        raise InputError("there is no such file", file=path, fix="name a CSV file: --data FILE")
    if path.stat().st_size > _MOST_BYTES:
        fix = "take a part of it, or adopt a script that reads it: progtrain adopt SCRIPT"
        raise InputError("it is larger than 1 GiB, which is read as a whole", file=path, fix=fix)
    data = read_bytes(path, _MOST_BYTES)
    for start, (what, fix) in _OTHER_FILES.items():
        if data.startswith(start):
            raise InputError(f"it is {what}, no CSV", file=path, fix=fix)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace"), ["it is UTF-16, and read so"]
    if b"\0" in data[:65536]:
        raise InputError("it is no text: it holds null bytes", file=path, fix="save the table as CSV in UTF-8")
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        place = data[: error.start].count(b"\n") + 1
        text = data.decode("cp1252", errors="replace")
        return text, [
            f"line {place} is not UTF-8: the file is read as Windows-1252; look whether its letters are right"
        ]


def _records(path: Path, text: str, said: list[str]) -> list[tuple[int, list[str]]]:
    """Row number and cells of all rows that are not empty."""
    csv.field_size_limit(2**31 - 1)
    separator = _separator(text)
    if separator in _SEPARATOR_NAMES:
        said.append(f"its cells are separated by {_SEPARATOR_NAMES[separator]}")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    found = []
    try:
        for place, cells in enumerate(reader, start=1):
            if any(cell.strip() for cell in cells):
                found.append((place, cells))
    except csv.Error as error:
        quotes = "a quotation mark that is never closed" if "end of data" in str(error) else str(error)
        begun = found[-1][0] + 1 if found else 1
        fix = "correct the quotation marks there, or save the table as CSV again"
        raise InputError(
            f"it can't be read from there on: {quotes}", file=path, place=f"row {begun}", fix=fix
        ) from error
    return found


def _separator(text: str) -> str:
    """The one that parts the first lines into the same number of cells, the more the better."""
    lines = text.splitlines()[:60]
    scores = {}
    for separator in _SEPARATORS:
        counts = Counter(len(cells) for cells in csv.reader(lines, delimiter=separator) if cells)
        width, times = max(counts.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        scores[separator] = (width > 1, times, width)
    return max(_SEPARATORS, key=lambda separator: scores[separator])


def _names(header: list[str], said: list[str]) -> list[str]:
    """Each with a name of its own."""
    names: list[str] = []
    for place, given in enumerate(header, start=1):
        plain = clean_line(given) or f"column_{place}"
        name, count = plain, 1
        while name in names:
            count += 1
            name = f"{plain}_{count}"
        if name != plain:
            said.append(f"two columns are called {plain!r}: the later one is {name!r} here")
        names.append(name)
    return names
