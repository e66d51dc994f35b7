"""Writes runs into a folder of trackio: one file of sqlite a project. Runs in the interpreter that has trackio."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from export_protocol import Held, Refused, Row, Write, serve

#: how many rows are handed over at once
_ROWS = 20_000


def opened(request: dict[str, Any]) -> tuple[Held, Write, str]:
    os.environ["TRACKIO_DIR"] = request["to"]
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", GRADIO_ANALYTICS_ENABLED="False")
    import trackio
    from trackio.sqlite_storage import SQLiteStorage as Storage

    needed = ("bulk_log", "delete_run", "get_run_config")
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

    def write(run: dict[str, Any], batches: Iterator[list[Row]]) -> None:
        Storage.delete_run(project, run["version"], run_id=run["id"])
        last = 0
        for rows in _joined(batches):
            last = max(last, *(step for step, _, _ in rows))
            _log(Storage, project, run, rows)
        final = {"eval/" + name: value for name, value in run["final"].items()}
        # with the settings, which say that the run is whole
        _log(Storage, project, run, [(last, run["evaluated"], final)], _config(run))

    return held, write, request["to"]


def _joined(batches: Iterator[list[Row]]) -> Iterator[list[Row]]:
    held: list[Row] = []
    for batch in batches:
        held.extend(batch)
        if len(held) >= _ROWS:
            yield held
            held = []
    if held:
        yield held


def _log(storage: Any, project: str, run: dict[str, Any], rows: list[Row], config: Any = None) -> None:
    storage.bulk_log(
        project,
        run["version"],
        [numbers for _, _, numbers in rows],
        steps=[step for step, _, _ in rows],
        timestamps=[_iso(at) for _, at, _ in rows],
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
