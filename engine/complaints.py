"""Pydantic's complaints about a file, in the words of who wrote the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progtrain.engine.errors import InputError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

#: pydantic's kinds of complaints -> what a reader of the file is to know
_COMPLAINTS = {
    "missing": "this key is missing",
    "extra_forbidden": "there is no such key here",
    "string_type": "a text in quotes belongs here",
    "string_pattern_mismatch": "a text of the form {pattern} belongs here",
    "string_too_short": "a text that is not empty belongs here",
    "int_type": "a whole number belongs here",
    "int_from_float": "a whole number belongs here",
    "int_parsing": "a whole number belongs here",
    "float_parsing": "a number belongs here",
    "bool_parsing": "true or false belongs here",
    "float_type": "a number belongs here",
    "finite_number": "a finite number belongs here",
    "bool_type": "true or false belongs here",
    "list_type": "a list in [ ] belongs here",
    "tuple_type": "a list in [ ] belongs here",
    "dict_type": "an object in {{ }} belongs here",
    "model_type": "an object in {{ }} belongs here",
    "greater_than_equal": "a number of at least {ge} belongs here",
    "greater_than": "a number above {gt} belongs here",
    "less_than_equal": "a number of at most {le} belongs here",
    "less_than": "a number below {lt} belongs here",
    "literal_error": "one of {expected} belongs here",
}


def first_problem(error: ValidationError, path: Path | str, fix: str = "") -> InputError:
    """The first of pydantic's complaints, as an error with key and value, and how many more there are."""
    first, *others = problems(error, path, fix)
    more = f" (and {len(others)} more)" if others else ""
    return InputError(first.reason + more, file=path, place=first.place, fix=first.fix)


def problems(error: ValidationError, path: Path | str, fix: str | None = None) -> list[InputError]:
    """All of pydantic's complaints, one for each value that is wrong."""
    found: list[InputError] = []
    left = error.errors(include_url=False)
    while left:
        # where one of several forms is meant, the complaint about the form that came closest says most
        closest = max((p for p in left if _one_value(p, left[0])), key=lambda problem: len(problem["loc"]))
        left = [p for p in left if not _one_value(p, left[0])]
        value = "" if closest["type"] == "missing" else f", found {shown(closest['input'])}"
        place = f"key {key_path(_keys(closest))}" if closest["loc"] else None
        reason = f"{in_words(closest)}{value}"
        found.append(InputError(reason, file=path, place=place, fix=fix or "correct the value of that key"))
    return found


def in_words(problem: ErrorDetails) -> str:
    """One of pydantic's complaints, for who wrote the file."""
    words = _COMPLAINTS.get(problem["type"])
    return words.format(**problem.get("ctx", {})) if words else problem["msg"].removeprefix("Value error, ")


def _keys(problem: ErrorDetails) -> tuple[int | str, ...]:
    """Where it is in the file: without the names of types that pydantic puts after a place that may hold several."""
    loc = problem["loc"]
    return tuple(part for at, part in enumerate(loc) if not (at and isinstance(loc[at - 1], int) and _is_type(part)))


def _one_value(problem: ErrorDetails, other: ErrorDetails) -> bool:
    """Whether both are about the same value, or about a part of it."""
    mine, its = _keys(problem), _keys(other)
    return mine[: len(its)] == its


def _is_type(part: int | str) -> bool:
    return isinstance(part, str) and (part == "str" or part[:1].isupper())


def key_path(parts: Sequence[int | str]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: Any, width: int = 60) -> str:
    """A value for a message, on one line and not too long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= width else text[: width - 1] + "…"
