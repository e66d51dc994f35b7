"""Writes runs into MLflow: a file of sqlite, or a server. Runs in the interpreter that has mlflow."""

from __future__ import annotations

import json
import math
import os
import socket
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import compress, repeat
from operator import itemgetter
from typing import Any
from urllib.parse import urlsplit

from export_protocol import Batch, Held, Refused, Write, insert, serve

#: MLflow's own limits: metrics of one call, params of one call, characters of a value
_METRICS, _PARAMS, _CHARACTERS = 1000, 100, 5000
_SECONDS = 5
#: columns of MLflow's table of metrics: where it has others, every number goes through its own interface
_COLUMNS = ["key", "value", "timestamp", "run_uuid", "step", "is_nan"]
_FILE = "sqlite:///"

#: value, milliseconds, step
Point = tuple[float, int, int]
Named = tuple[str, list[Point]]
#: name, value, milliseconds, step
Metric = tuple[str, float, int, int]


def opened(request: dict[str, Any]) -> tuple[Held, Write, str]:
    uri = request["to"]
    if request["network"]:
        _answers(uri)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = _experiment(client, request)
    ids: dict[str, str] = {}

    def held(run: dict[str, Any]) -> str:
        there = _found(client, experiment, run["id"])
        if there is None:
            return ""
        ids[run["id"]] = there.info.run_id
        return there.data.tags.get("progtrain.digest") or "unfinished"

    def write(run: dict[str, Any], batches: Iterator[Batch]) -> None:
        base = _found(client, experiment, run["base_id"]) if run["base_id"] else None
        if run["id"] not in ids:
            made = client.create_run(experiment, start_time=run["started"], tags={"progtrain.id": run["id"]})
            ids[run["id"]] = made.info.run_id
        there = ids[run["id"]]
        _tell(client, there, run, base.info.run_id if base else None)
        last = _log(client, there, batches, uri)
        _final(client, there, run, last)

    return held, write, uri


def _answers(uri: str) -> None:
    """Raises `Refused` where nobody listens there: MLflow itself would try again for minutes."""
    parts = urlsplit(uri)
    port = parts.port or {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}.get(parts.scheme.split("+")[0])
    if parts.hostname is None or port is None:
        return
    try:
        socket.create_connection((parts.hostname, port), timeout=_SECONDS).close()
    except OSError as error:
        reason = f"no server answers at {parts.hostname}, port {port} ({error.strerror or error})"
        raise Refused(reason, "start it, or write into a file: --to mlflow.db") from error


def _experiment(client: Any, request: dict[str, Any]) -> str:
    try:
        there = client.get_experiment_by_name(request["project"])
    except Exception as error:
        if not request["network"]:
            raise
        reason = f"{request['to']} does not answer as a server of MLflow does: {error}"
        raise Refused(reason, "see that it is one and at work, or write into a file: --to mlflow.db") from error
    if there is not None:
        return str(there.experiment_id)
    # a server knows itself where artifacts belong
    place = None if request["network"] else request["artifacts"]
    return str(client.create_experiment(request["project"], artifact_location=place))


def _found(client: Any, experiment: str, run_id: str) -> Any:
    """What was written of the run before; None where there is nothing."""
    there = client.search_runs([experiment], filter_string=f"tags.`progtrain.id` = '{run_id}'", max_results=1)
    return there[0] if there else None


def _tell(client: Any, there: str, run: dict[str, Any], base: str | None) -> None:
    from mlflow.entities import Param, RunTag

    told = {
        "mlflow.runName": run["version"],
        "mlflow.note.content": run["lineage"],
        "progtrain.version": run["version"],
        "progtrain.base": run["base"] or "",
        "progtrain.base_id": run["base_id"] or "",
        "progtrain.action": run["action"],
        "progtrain.lineage": run["lineage"],
        "progtrain.times": run["times"],
    }
    told.update({"progtrain." + name: value for name, value in run["facts"].items()})
    if base:
        told["mlflow.parentRunId"] = base
    client.log_batch(there, tags=[RunTag(name, value[:_CHARACTERS]) for name, value in told.items()])
    known = client.get_run(there).data.params
    params = [Param(name, _text(value)) for name, value in run["params"].items() if name not in known]
    for start in range(0, len(params), _PARAMS):
        client.log_batch(there, params=params[start : start + _PARAMS])


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:_CHARACTERS]


def _log(client: Any, there: str, batches: Iterator[Batch], uri: str) -> int:
    """Returns the last step."""
    last = [0]
    found = _points(batches, last)
    left = _into_file(uri[len(_FILE) :], there, found) if uri.startswith(_FILE) else map(_metrics, found)
    for metrics in left:
        _through_client(client, there, metrics)
    return max(last)


def _points(batches: Iterator[Batch], last: list[int]) -> Iterator[Named]:
    """What a batch holds of each name. `last` gets the last step of each batch."""
    for batch in batches:
        last.append(max(batch["steps"]))
        for name, values in batch["columns"].items():
            told = [value is not None for value in values]
            yield name, list(compress(zip(values, batch["times"], batch["steps"]), told))


def _metrics(found: Named) -> list[Metric]:
    return [(found[0], *point) for point in found[1]]


def _into_file(path: str, there: str, found: Iterator[Named]) -> Iterator[list[Metric]]:
    """Straight into the table, a twentieth of the time; gives what has to go through MLflow's own interface.

    That is the last of each name, which it puts into its table of latest values too, unless it has the point already;
    and everything where the table is another one.
    """
    latest: dict[str, Point] = {}
    with closing(sqlite3.connect(path, timeout=60)) as store:
        if [row[1] for row in store.execute("PRAGMA table_info(metrics)")] != _COLUMNS:
            yield from map(_metrics, found)
            return
        statement = "INSERT OR IGNORE INTO metrics ({}) VALUES ".format(", ".join(_COLUMNS))
        # its index is by name and time, not by run: pages of it are written again and again where they do not fit
        store.execute("PRAGMA cache_size = -131072")
        with store:
            for name, points in found:
                insert(store, statement, _stored(there, name, _but_latest(name, points, latest)))
    if latest:
        yield [(name, *point) for name, point in latest.items()]


def _but_latest(name: str, points: list[Point], latest: dict[str, Point]) -> list[Point]:
    """Holds the last point of a name back, in place of the one that was held before."""
    if name in latest:
        points = [latest[name], *points]
    order = [*map(itemgetter(2, 1), points)]
    # of two alike the later one
    newest = max(reversed(range(len(points))), key=order.__getitem__)
    latest[name] = points.pop(newest)
    return points


def _stored(there: str, name: str, points: list[Point]) -> Iterable[tuple[str, float, int, str, int, bool]]:
    """As MLflow stores numbers, those that are not finite too."""
    if not points:
        return ()
    values, times, steps = zip(*points)
    nan: Iterable[bool] = repeat(False)
    if not all(map(math.isfinite, values)):
        nan = map(math.isnan, values)
        values = tuple(map(_finite, values))
    return zip(repeat(name), values, times, repeat(there), steps, nan)


def _finite(value: float) -> float:
    if math.isnan(value):
        return 0.0
    return math.copysign(sys.float_info.max, value) if math.isinf(value) else value


def _through_client(client: Any, there: str, metrics: list[Metric]) -> None:
    from mlflow.entities import Metric as Logged

    for start in range(0, len(metrics), _METRICS):
        client.log_batch(there, metrics=[Logged(*metric) for metric in metrics[start : start + _METRICS]])


def _final(client: Any, there: str, run: dict[str, Any], last: int) -> None:
    _through_client(client, there, [("eval/" + n, value, run["evaluated"], last) for n, value in run["final"].items()])
    for path in run["artifacts"]:
        client.log_artifact(there, path)
    client.set_terminated(there, "FINISHED", end_time=max(run["ended"], run["started"]))
    # last: it says that the run is whole
    client.set_tag(there, "progtrain.digest", run["digest"])


if __name__ == "__main__":
    sys.exit(serve("mlflow", opened))
