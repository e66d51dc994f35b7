"""Writes runs into a folder of trackio: one file of sqlite a project. Runs in the interpreter that has trackio."""

from __future__ import annotations

import math
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from itertools import repeat
from typing import Any

from export_protocol import Batch, Held, Refused, Row, Write, insert, rows, serve

#: columns of trackio's table of metrics: where it has others, every row goes through its own interface
_COLUMNS = {"id", "run_id", "timestamp", "run_name", "step", "metrics", "log_id", "space_id"}
_INSERT = "INSERT INTO metrics (timestamp, run_id, run_name, step, metrics) VALUES "


def opened(request: dict[str, Any]) -> tuple[Held, Write, str]:
    os.environ["TRACKIO_DIR"] = request["to"]
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", GRADIO_ANALYTICS_ENABLED="False")
    import trackio
    from trackio.sqlite_storage import SQLiteStorage as Storage

    needed = ("bulk_log", "delete_run", "get_run_config", "get_project_db_path")
    lacking = [name for name in needed if not hasattr(Storage, name)]
    if lacking:
        # trackio has no public way to give a row its time
        reason = f"trackio {trackio.__version__} works in another way inside (no {', '.join(lacking)})"
        raise Refused(reason, "install trackio 0.43, with which this was tested", wrong=True)
    project = request["project"]
    Storage.init_db(project)

    def held(run: dict[str, Any]) -> str:
        config = Storage.get_run_config(project, run["version"], run_id=run["id"]) or {}
        if not config and not Storage.get_log_count(project, run["version"], run_id=run["id"]):
            return ""
        return str(config.get("progtrain_digest") or "unfinished")

    def write(run: dict[str, Any], batches: Iterator[Batch]) -> None:
        Storage.delete_run(project, run["version"], run_id=run["id"])
        last = [0]
        for batch in _into_file(Storage.get_project_db_path(project), run, _steps(batches, last)):
            _log(Storage, project, run, list(rows(batch)))
        final = {"eval/" + name: value for name, value in run["final"].items()}
        # with the settings, which say that the run is whole
        _log(Storage, project, run, [(max(last), run["evaluated"], final)], _config(run))

    return held, write, request["to"]


def _steps(batches: Iterator[Batch], last: list[int]) -> Iterator[Batch]:
    """`last` gets the last step of each."""
    for batch in batches:
        last.append(max(batch["steps"]))
        yield batch


def _into_file(path: Any, run: dict[str, Any], batches: Iterator[Batch]) -> Iterator[Batch]:
    """Straight into the table, in little more than half the time; gives what has to go through trackio's own interface.

    That is everything where the table is another one.
    """
    with closing(sqlite3.connect(path, timeout=60)) as store:
        if {row[1] for row in store.execute("PRAGMA table_info(metrics)")} != _COLUMNS:
            yield from batches
            return
        # as trackio has it
        store.execute("PRAGMA synchronous = NORMAL")
        # pages of its three indexes are written again and again where they do not fit
        store.execute("PRAGMA cache_size = -131072")
        with store:
            for batch in batches:
                times, texts = _isos(batch["times"]), _texts(batch)
                told = zip(times, repeat(run["id"]), repeat(run["version"]), batch["steps"], texts)
                insert(store, _INSERT, told)


def _texts(batch: Batch) -> Iterator[bytes]:
    """Rows as trackio keeps them: JSON, in which words stand for what is not finite. A column is written at once."""
    import orjson

    cells = []
    for name, column in batch["columns"].items():
        key = orjson.dumps(name) + b":"
        told = orjson.dumps(column if _all_finite(column) else [*map(_plain, column)])[1:-1].split(b",")
        cells.append([key + one if one != b"null" else b"" for one in told])
    return (b"{" + b",".join(filter(None, row)) + b"}" for row in zip(*cells))


def _all_finite(column: list[Any]) -> bool:
    """Whether it is certain: a sum of them all says it in a tenth of the time."""
    return math.isfinite(sum(filter(None, column)))


def _plain(value: Any) -> Any:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _isos(times: list[int]) -> list[str]:
    known = {second: _iso(second * 1000)[:19] for second in {at // 1000 for at in times}}
    return [f"{known[at // 1000]}.{at % 1000:03d}+00:00" for at in times]


def _log(storage: Any, project: str, run: dict[str, Any], told: list[Row], config: Any = None) -> None:
    storage.bulk_log(
        project,
        run["version"],
        [numbers for _, _, numbers in told],
        steps=[step for step, _, _ in told],
        timestamps=[_iso(at) for _, at, _ in told],
        config=config,
        run_id=run["id"],
    )


def _config(run: dict[str, Any]) -> dict[str, Any]:
    """As trackio keeps it, with its own keys for user, group and time."""
    told = dict(run["params"])
    told.update(run["facts"])
    told.update({name: run[name] for name in ("version", "base", "base_id", "action", "lineage", "times")})
    told.update(
        progtrain_id=run["id"], progtrain_digest=run["digest"], _Group=run["project"], _Created=_iso(run["started"])
    )
    return told


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    sys.exit(serve("trackio", opened))
