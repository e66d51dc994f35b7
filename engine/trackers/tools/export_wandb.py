"""Writes runs as offline runs of Weights & Biases, which the user syncs. Runs in the interpreter that has wandb."""

from __future__ import annotations

import glob
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from export_protocol import Batch, Held, Write, rows, serve

#: beside a run's log: which state of the run it holds
_DIGEST = "progtrain.digest"


def opened(request: dict[str, Any]) -> tuple[Held, Write, str]:
    to = request["to"]
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_CONSOLE="off", WANDB_ERROR_REPORTING="false")
    import wandb

    # without what wandb would tell of this process and its machine
    own = {"disable_git": True, "save_code": False, "x_disable_meta": True, "x_disable_stats": True}
    settings = wandb.Settings(mode="offline", root_dir=to, console="off", silent=True, **own)

    def held(run: dict[str, Any]) -> str:
        for folder in _folders(to, run["id"]):
            try:
                with open(os.path.join(folder, _DIGEST), encoding="utf-8") as file:
                    return file.read().strip()
            except OSError:
                continue
        return "unfinished" if _folders(to, run["id"]) else ""

    def write(run: dict[str, Any], batches: Iterator[Batch]) -> None:
        before = _folders(to, run["id"])
        names = {"project": request["project"], "group": request["project"], "id": run["id"], "name": run["version"]}
        made = wandb.init(**names, config=_config(run), notes=run["lineage"], tags=["progtrain"], settings=settings)
        _log(made, run, batches)
        made.finish()
        for folder in before:
            if os.path.realpath(folder) != os.path.realpath(os.path.dirname(made.dir)):
                shutil.rmtree(folder)
        # last: it says that the run is whole
        for folder in _folders(to, run["id"]):
            with open(os.path.join(folder, _DIGEST), "w", encoding="utf-8") as file:
                file.write(run["digest"] + "\n")

    return held, write, to


def _log(made: Any, run: dict[str, Any], batches: Iterator[Batch]) -> None:
    """The step is a number like any other, and the axis of all: wandb drops rows whose own step does not grow."""
    made.define_metric("step")
    made.define_metric("*", step_metric="step")
    for batch in batches:
        for step, at, numbers in rows(batch):
            made.log(dict(numbers, step=step, _timestamp=at / 1000))
    made.summary.update({"eval/" + name: value for name, value in run["final"].items()})
    for path in run["artifacts"]:
        made.save(path, base_path=os.path.dirname(path), policy="now")


def _folders(to: str, run_id: str) -> list[str]:
    return sorted(glob.glob(os.path.join(glob.escape(to), "wandb", "offline-run-*-" + run_id)))


def _config(run: dict[str, Any]) -> dict[str, Any]:
    told = dict(run["params"])
    told.update({name: run[name] for name in ("version", "base", "base_id", "action", "lineage", "times")})
    told["progtrain"] = dict(run["facts"], id=run["id"], started=run["started"], ended=run["ended"])
    return told


if __name__ == "__main__":
    sys.exit(serve("wandb", opened))
