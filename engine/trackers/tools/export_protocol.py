"""How a tracker's script talks with progtrain: runs as JSON lines in, one answer to each question out.

Standard library only, Python 3.9: it runs in the interpreter that has the tracker. What the tracker prints goes to
standard error. A run is answered with `want` or `same` before its rows come, so that what is there is not sent again.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

#: a row: step, milliseconds since 1970, numbers by name
Row = tuple[int, int, dict[str, float]]
#: some thousand rows: "steps", "times" (milliseconds since 1970), and "columns": by name, a number or None for each row
Batch = dict[str, Any]
#: says which state of a run the target holds ("" for none), by its plain value
Held = Callable[[dict[str, Any]], str]
#: writes a run with its rows, whole or not at all as far as `Held` can tell
Write = Callable[[dict[str, Any], Iterator[Batch]], None]

#: rows of one statement: sqlite takes 999 values from 3.7 on
_TOGETHER = 100


class Refused(Exception):
    """What cannot be done, with what to do about it; `wrong` where the user asked for something wrong."""

    def __init__(self, reason: str, fix: str = "", wrong: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.fix, self.wrong = reason, fix, wrong


def serve(tool: str, opened: Callable[[dict[str, Any]], tuple[Held, Write, str]]) -> int:
    """`opened` gets the request and returns what is held, how to write, and where it lies, for people."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)

    def answer(**told: Any) -> None:
        answers.write(json.dumps(told) + "\n")

    try:
        held, write, where = opened(_read())
        # what was imported lives to the end: collections need not look at it again and again
        gc.freeze()
        answer(where=where)
        while True:
            run = _read()
            if run is None:
                return 0
            before = held(run)
            if before == run["digest"]:
                answer(outcome="same")
                continue
            answer(outcome="want")
            batches = _batches()
            write(run, batches)
            for _ in batches:  # what it had no use for
                pass
            answer(outcome="updated" if before else "new")
    except ImportError as error:
        lacking = (error.name or tool).split(".")[0]
        reason = f"{tool} cannot be imported: {error}"
        if lacking == tool:
            reason = tool + " is not installed in this interpreter"
        other = f"or name another interpreter: progtrain export {tool} --python PATH"
        fix = f"{sys.executable} -m pip install {tool}; {other}"
        answer(error=reason, fix=fix, file=sys.executable, wrong=True)
    except Refused as error:
        answer(error=error.reason, fix=error.fix, wrong=error.wrong)
    except Exception as error:  # noqa: BLE001 - whatever the tracker raises is told, in one line
        answer(error=f"{type(error).__name__}: {error}", fix="", wrong=False)
    return 1


def _read() -> Any:
    line = sys.stdin.buffer.readline()
    return json.loads(line) if line else None


def _batches() -> Iterator[Batch]:
    """Up to a null."""
    while True:
        batch = _read()
        if not batch:
            return
        yield batch


def insert(store: Any, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Rows of one width into a table of sqlite; `statement` ends with VALUES. A hundred go with each statement: less
    than half the time of one by one.
    """
    found = iter(rows)
    first = next(found, None)
    if first is None:
        return
    values = [*first, *chain.from_iterable(found)]
    one, size = "(" + ", ".join("?" * len(first)) + ")", _TOGETHER * len(first)
    whole = len(values) - len(values) % size
    many = statement + ", ".join([one] * _TOGETHER)
    store.executemany(many, (values[at : at + size] for at in range(0, whole, size)))
    if left := values[whole:]:
        store.execute(statement + ", ".join([one] * (len(left) // len(first))), left)


def rows(batch: Batch) -> Iterator[Row]:
    """A batch row by row."""
    names = tuple(batch["columns"])
    for step, at, values in zip(batch["steps"], batch["times"], zip(*batch["columns"].values())):
        told = zip(names, values)
        yield step, at, {name: value for name, value in told if value is not None} if None in values else dict(told)
