"""Rows of text to train or evaluate a language model with, from JSON lines, JSON, CSV or plain text.

Standard library only, Python 3.9: the training reads with it in the user's interpreter, and plans are checked with it.
"""

from __future__ import annotations

import csv
import json
import os
from typing import Any

Row = dict[str, Any]

#: names of the column that is asked, and of the one that is to be answered, the usual first
PAIRS = (
    ("input", "output"),
    ("input", "target"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("instruction", "output"),
    ("instruction", "response"),
)


def read(path: str, columns: tuple[str, str] | None = None) -> list[Row]:
    """Rows with `messages`, with `input` and `output`, or with `text`; an `id` where the file has one.

    `columns`: which two are asked and answered, where it is not one of `PAIRS`. Raises `ValueError` with the line.
    """
    if path.lower().endswith(".txt"):
        with open(path, encoding="utf-8-sig") as file:
            found = [(1, {"text": file.read()})]
    else:
        found = _objects(path)
    if not found:
        raise ValueError("it holds no row")
    return [_row(fields, columns, line) for line, fields in found]


def fields(path: str) -> list[Row]:
    """What stands in the file, row by row. Raises as `read`."""
    return [told for _, told in _objects(path)]


def _objects(path: str) -> list[tuple[int, Row]]:
    """Line (or number of the row) and what stands there."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        if path.lower().endswith((".csv", ".tsv")):
            table = csv.DictReader(file, delimiter="\t" if path.lower().endswith(".tsv") else ",")
            return [(table.line_num, {str(k).strip(): v for k, v in row.items()}) for row in table]
        text = file.read()
    if path.lower().endswith(".json"):
        try:
            listed = json.loads(text)
        except ValueError as error:
            raise ValueError("not valid JSON: " + str(error)) from error
        if not isinstance(listed, list):
            raise ValueError("a list of objects belongs here")
        return [(number, _object(row, number)) for number, row in enumerate(listed, start=1)]
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                found.append((number, _object(json.loads(line), number)))
            except ValueError as error:
                raise ValueError(f"line {number} is no JSON object: {error}") from error
    return found


def _object(value: Any, number: int) -> Row:
    if not isinstance(value, dict):
        raise ValueError(f"row {number} is no object")
    return value


def _row(fields: Row, columns: tuple[str, str] | None, line: int) -> Row:
    made = {"id": str(fields["id"])} if fields.get("id") not in (None, "") else {}
    if columns is None and isinstance(fields.get("messages"), list):
        return {**made, "messages": _messages(fields["messages"], line)}
    pair = columns or pair_in(fields)
    if pair is None:
        if isinstance(fields.get("text"), str):
            return {**made, "text": fields["text"]}
        known = ", ".join(sorted(fields)) or "none"
        raise ValueError(f"line {line}: no columns input and output, messages, or text; there are: {known}")
    missing = [name for name in pair if fields.get(name) is None]
    if missing:
        raise ValueError(f"line {line} has no {missing[0]}")
    asked, answer = (str(fields[name]) for name in pair)
    if pair[0] == "instruction" and fields.get("input"):
        asked += "\n" + str(fields["input"])
    return {**made, "input": asked, "output": answer}


def pair_in(fields: Row) -> tuple[str, str] | None:
    """Which two columns are asked and answered; an instruction with an input is one question."""
    both = {"instruction", "input", "output"} <= fields.keys()
    return ("instruction", "output") if both else next((pair for pair in PAIRS if set(pair) <= fields.keys()), None)


def _messages(found: list[Any], line: int) -> list[dict[str, str]]:
    if len(found) < 2 or not all(isinstance(m, dict) and "role" in m and "content" in m for m in found):
        raise ValueError(f"line {line}: messages are at least two objects with role and content")
    if found[-1]["role"] != "assistant":
        raise ValueError(f"line {line}: the last message is the assistant's, which is learned")
    return [{"role": str(message["role"]), "content": str(message["content"])} for message in found]


def asked(row: Row, prompt: str, system: str) -> list[dict[str, str]]:
    """What a model is shown of a row, as messages."""
    if "messages" in row:
        return list(row["messages"][:-1])
    told = [{"role": "system", "content": system}] if system else []
    return [*told, {"role": "user", "content": prompt.replace("{input}", row["input"])}]


def answer(row: Row) -> str:
    """What it is to say."""
    return str(row["messages"][-1]["content"] if "messages" in row else row["output"])


def as_text(messages: list[dict[str, str]]) -> str:
    """For a tokenizer without a chat template, as inspect writes it."""
    return "".join("{}: {}\n".format(message["role"], message["content"]) for message in messages)


def read_all(path: str, columns: tuple[str, str] | None = None) -> list[Row]:
    """As `read`; every error names the file."""
    try:
        return read(path, columns)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SystemExit(f"{os.path.relpath(path)}: {reason}") from error
