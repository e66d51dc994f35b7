"""Versions written into the files and stores of other tools: which there are, where they write, how one looks at it.

A second export of the same version updates what it wrote or leaves it as it is. Nothing is sent anywhere unless a
server is named and allowed.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine.control.launch import named_python
from progtrain.engine.errors import InputError
from progtrain.engine.files import LineReader, storage_errors
from progtrain.engine.trackers import export_csv, export_tensorboard, export_tool
from progtrain.engine.trackers.runs import Run
from progtrain.engine.workspace import Workspace

#: what can be written to; the last three by their own packages
TOOLS = ("csv", "tensorboard", "mlflow", "trackio", "wandb")
_IN_FILES = {"csv": export_csv.write, "tensorboard": export_tensorboard.write}
_DATABASE = "mlflow.db"


class Target(NamedTuple):
    """Where an export goes."""

    tool: str
    #: a folder, or the address of a store as the tool has it
    to: str
    #: it is reached over a network
    network: bool
    #: the folder that files land in; None on a server
    folder: Path | None
    #: commands to look at it, or to send it on
    look: tuple[str, ...]


def target(ws: Workspace, tool: str, to: str | None, allow_network: bool, project: str) -> Target:
    """By default in `Models/exports/<tool>/`. Raises `InputError` for a place that the tool cannot or may not write."""
    if tool == "mlflow":
        return _mlflow(ws, to, allow_network)
    folder = ws.exports / tool if to is None else Path(to).expanduser().absolute()
    if to is not None and "://" in to:
        fix = "name a folder; it is sent on from there by the tool itself"
        raise InputError(f"{tool} is written to a folder, not to {to}", place="--to", fix=fix)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{tool} is written to a folder, and this is a file", file=folder, place="--to")
    place = shlex.quote(str(folder))
    look = {
        "tensorboard": (f"tensorboard --logdir {place}",),
        "trackio": (f"TRACKIO_DIR={place} trackio show --project {shlex.quote(project)}",),
        "wandb": (f"wandb sync {place}/wandb/offline-run-*",),
    }.get(tool, ())
    return Target(tool, str(folder), False, folder, look)


def _mlflow(ws: Workspace, to: str | None, allow_network: bool) -> Target:
    scheme, _, rest = (to or "").partition(":")
    if scheme == "file":
        reason = "mlflow's store of files is no longer kept up, and mlflow itself refuses it since 3.13"
        fix = f"write into a file of sqlite beside it: --to {Path(rest.removeprefix('//')) / _DATABASE}"
        raise InputError(reason, place="--to", fix=fix)
    if to is not None and scheme != "sqlite" and "://" in to:
        if not allow_network:
            reason = f"{to} is on a network, and nothing leaves this machine unasked"
            raise InputError(reason, place="--to", fix="add --allow-network, or write into a file: --to mlflow.db")
        return Target("mlflow", to, True, None, (to,) if scheme.startswith("http") else ())
    stated = rest.removeprefix("///") if scheme == "sqlite" else to
    path = ws.exports / "mlflow" if stated is None else Path(stated).expanduser().absolute()
    if path.is_dir() or stated is None:
        path = path / _DATABASE
    uri = f"sqlite:///{path}"
    return Target("mlflow", uri, False, path.parent, (f"mlflow ui --backend-store-uri {shlex.quote(uri)}",))


def write(ws: Workspace, to: Target, runs: Sequence[Run], python: str | None = None) -> Iterator[tuple[Run, str]]:
    """Each run with `new`, `updated` or `same`, as it is there.

    `python`: the interpreter that has the tool, by default the workspace's own. Raises `InputError` where it lacks it,
    `StepFailed` where the tool fails, and `StorageError`.
    """
    if to.folder is not None:
        with storage_errors(to.folder):
            to.folder.mkdir(parents=True, exist_ok=True)
    if to.tool in _IN_FILES:
        yield from _IN_FILES[to.tool](runs, Path(to.to))
        return
    request: dict[str, Any] = {"to": to.to, "network": to.network, "project": runs[0].project if runs else ""}
    if to.folder is not None:
        request["artifacts"] = (to.folder / "mlartifacts").as_uri()
    yield from export_tool.write(to.tool, python or interpreter(ws), runs, request)


def interpreter(ws: Workspace) -> str:
    """That of the workspace's scripts, as the last loop was given it."""
    events = reversed(LineReader(ws.journal, having=b'"python"').read())
    told = (event.get("python") for event in events if event.get("event") in ("loop_started", "loop_changed"))
    return next((str(python) for python in told if python), None) or named_python(ws) or sys.executable
