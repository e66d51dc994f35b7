"""Which lines of `results.jsonl` count: of several about one evaluation the last. Light: `status` waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from progtrain.engine.files import LineReader

Made = TypeVar("Made")


def following(path: Path, made: Callable[[Mapping[str, Any]], Made | None]) -> Callable[[], list[Made]]:
    """Asks for what is made of the lines that count, in the order in which their runs came first.

    Each time it is asked it reads no more than what is new. `made` gives None for a line that is damaged: what is right
    beside it still counts. A torn last line is left out.
    """
    reader = LineReader(path)
    runs: dict[str, dict[tuple[str | None, str | int | None], Made]] = {}

    def listed() -> list[Made]:
        if reader.restarted():
            runs.clear()
        for line in reader.look():
            if (one := made(line)) is not None:
                mine = runs.setdefault(line["run"], {})
                if line.get("task") is None:
                    # the training itself: what was measured of an earlier one is over
                    mine.clear()
                else:
                    # a training that failed, and went well when it was started again
                    mine.pop((None, None), None)
                mine[line.get("task"), line.get("epoch")] = one
        return [one for mine in runs.values() for one in mine.values()]

    return listed
