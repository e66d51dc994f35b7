"""The environment that lets our hooks (`engine/live`) look into a user's script, and what they told of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from progtrain.engine.files import object_in, try_read_json
from progtrain.engine.script.leading import leading_imports
from progtrain.engine.templates.progtrain_eval.common import evaluator_sha256
from progtrain.engine.text import may_be_path
from progtrain.engine.workspace import Workspace

_LIVE, _TEMPLATES = (Path(__file__).parent / name for name in ("live", "templates"))
#: a program for the user's interpreter: whether a checkpoint is whole
CHECK = _LIVE / "progtrain_check.py"


def of_script() -> dict[str, str]:
    """What every script of the user gets: its output at once, no windows that nobody sees, and whole error messages."""
    return {"PYTHONUNBUFFERED": "1", "MPLBACKEND": os.environ.get("MPLBACKEND", "Agg"), "HYDRA_FULL_ERROR": "1"}


def of_training(ws: Workspace, version: str) -> dict[str, str]:
    """It tells how far it is, ends when it is asked to, and keeps a record."""
    return _hooked() | {
        "PROGTRAIN_LIVE_FILE": str(ws.live(version)),
        "PROGTRAIN_STOP_FILE": str(ws.live_stop(version)),
        "PROGTRAIN_RECORD_FILE": str(ws.record(version)),
        "PROGTRAIN_CURVE_FILE": str(ws.curve(version)),
        "PROGTRAIN_SAVES_FILE": str(ws.saves(version)),
        "PROGTRAIN_WEIGHTS_DIR": str(ws.weights(version)),
    }


def of_evaluation(ws: Workspace, *, ours: bool, script: Path | None = None) -> dict[str, str]:
    """It is parted into processes, one of which may give up reading; modules of the workspace come after Python's own.

    `ours`: the evaluator is the one beside this module, and is told which workspace it is for. `script`: whose packages
    those processes are to share, imported once.
    """
    root = ws.root.resolve()
    named = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    inside = [part for part in named if (ws.root / part).resolve().is_relative_to(root)]
    environment = {"PROGTRAIN_APART": "1", "PROGTRAIN_CONFINE": str(_LIVE / "progtrain_confine.py")}
    environment["PROGTRAIN_FORKS"] = str(_LIVE / "progtrain_warm_checks.py")
    if inside:
        environment["PYTHONPATH"] = os.pathsep.join(part for part in named if part not in inside)
        environment["PROGTRAIN_MODULES"] = os.pathsep.join(str((ws.root / part).absolute()) for part in inside)
    statements, folders, _ = leading_imports(script) if script is not None else ([], [], "")
    if statements:
        environment["PROGTRAIN_FIRST"] = json.dumps([statements, folders])
    return environment | ({"PROGTRAIN_WORKSPACE": str(ws.root.absolute())} if ours else {})


def is_ours(ws: Workspace) -> bool:
    """Whether `03_eval.py` of a workspace, with what it works with, is as progtrain wrote it."""
    return ws.eval_script.is_file() and evaluator_sha256(ws.root) == evaluator_sha256(_TEMPLATES)


def evaluator(ws: Workspace, version: str | None = None) -> tuple[list[str], dict[str, str]]:
    """What starts `03_eval.py` of a workspace, for a version, before its arguments, and the variables that it needs.

    One that is as it was written is started from where it came from: there nothing that a script does in the workspace
    changes it.
    """
    ours = is_ours(ws)
    script = _TEMPLATES / ws.eval_script.name if ours else ws.eval_script
    begins_as = ws.script(version) if version else None
    return [str(_TEMPLATES / "isolated.py"), str(script)], of_evaluation(ws, ours=ours, script=begins_as)


def of_command() -> dict[str, str]:
    """Any command: a training by Lightning in it tells how far it is, and ends when it is asked to."""
    return _hooked()


def forget(ws: Workspace, version: str) -> None:
    """Before a training: what an earlier one of this version told is gone."""
    record = ws.record(version)
    shutil.rmtree(record.parent, ignore_errors=True)
    record.parent.mkdir(parents=True)
    ws.live(version).unlink(missing_ok=True)
    ws.live_stop(version).unlink(missing_ok=True)


def to_go_on(ws: Workspace, version: str) -> dict[str, str]:
    """Where it is asked to stop, it saves there what another start can go on from."""
    return {"PROGTRAIN_GO_ON_FILE": str(ws.going_on(version))}


def going_on(checkpoint: Path) -> dict[str, str]:
    """Its first `fit()` or `train()` goes on from there."""
    return {"PROGTRAIN_RESUME_FROM": str(checkpoint)}


def of_probe(path: Path) -> dict[str, str]:
    """It ends where its training would begin, and says in `path` what it has set up by then."""
    return _hooked() | {"PROGTRAIN_PROBE_FILE": str(path)}


def of_measure(path: Path, how: Mapping[str, Any]) -> dict[str, str]:
    """It trains a few steps as `how` says (`engine/live/progtrain_measure.py`), and tells in `path` how that went."""
    return of_probe(path) | {"PROGTRAIN_MEASURE": json.dumps(how)}


#: what of a record is a list of objects, and what is an object, where it is there
_LISTS = frozenset({"checkpoints", "loggers", "optimizers", "schedulers"})
_OBJECTS = frozenset({"trainer", "model", "loaders", "hparams", "data", "ended"})

#: and what in them is a path
_PATHS = frozenset({"dirpath", "best_model_path", "last_model_path", "log_dir", "save_dir"})


def record_of(ws: Workspace, version: str) -> dict[str, Any]:
    """What the hooks told of the training; empty where they saw none (a loop of the script's own)."""
    found = object_in(ws.record(version))
    # the script could have written anything there
    for name in _LISTS & found.keys():
        listed = found[name] if isinstance(found[name], list) else []
        objects = [one for one in listed if isinstance(one, dict)]
        found[name] = [{k: v for k, v in one.items() if k not in _PATHS or may_be_path(v)} for one in objects]
    return {name: value for name, value in found.items() if name not in _OBJECTS or isinstance(value, dict)}


def used_of(ws: Workspace, version: str) -> list[dict[str, Any]]:
    """What the training was seen to use, as `engine/live/progtrain_used.py` tells it: of the script first, then of
    programs that it started. Empty where it was seen in no step.
    """
    found = (try_read_json(path) for path in sorted(ws.record(version).parent.glob("used*.json")))
    return [one for one in found if isinstance(one, dict)]


def _hooked() -> dict[str, str]:
    path = [str(_LIVE), os.environ.get("PYTHONPATH", "")]
    return {**of_script(), "PYTHONPATH": os.pathsep.join(part for part in path if part)}
