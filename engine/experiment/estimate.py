"""What a run will take, from runs that were alike: same tool, same script or recipe, same device.

Each estimate says what it rests on. Where nothing is known it is asked for or measured by a few steps, never guessed.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from progtrain.engine import smoke_test, values
from progtrain.engine.control import marks
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import index, placing
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.workers.base import Experiment, Piece, training
from progtrain.engine.files import object_in
from progtrain.engine.script import names
from progtrain.engine.workspace import Workspace

#: of earlier runs: that share of them took less, times so much
_TIME, _MEMORY = (0.90, 1.25), (0.95, 1.3)
#: a request is a multiple of these
_MINUTES, _MIB = 5, 256
_STEPS = 30
#: settings that say nothing of a run's size
_NO_SIZE = {"seed", "epochs", "num_workers"}
#: an earlier run, with `seconds`, `memory` and `settings`
Prior = Mapping[str, Any]


def priors(plan: Plan, ws: Workspace) -> list[Prior]:
    """Runs that are done, of any experiment that was ever seen, that were alike; on the device that this plan asks for.

    Those that needed one attempt, where there are any: the time of the others holds what failed. Where no experiment
    has any, the versions that the loop has trained.
    """
    family = index.family(plan.base.model_dump(mode="json"), ws)

    def answer(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        return connection.execute(
            "SELECT experiments.name, runs.run, runs.device, runs.attempts, runs.seconds, runs.memory, runs.settings, "
            "runs.estimate FROM runs JOIN experiments ON experiments.id = runs.experiment WHERE runs.state = 'done' "
            "AND runs.type != 'eval-only' AND runs.seconds > 0 AND experiments.training = ? AND experiments.family = ?",
            (plan.tools.training, family),
        ).fetchall()

    keys = ("experiment", "run", "device", "attempts", "seconds", "memory", "settings", "estimate")
    found = [dict(zip(keys, row, strict=True)) for row in index.ask(answer, ws)]
    for one in found:
        one |= {"settings": json.loads(one["settings"]), "estimate": json.loads(one["estimate"])}
    found = found or [one for one in _of_versions(ws) if one["family"] == family]
    alike: list[Prior] = [one for one in found if (one["device"] in ("cpu", "")) == (plan.resources.gpus == 0)]
    return [one for one in alike if one["attempts"] == 1] or alike


def _of_versions(ws: Workspace) -> Iterator[dict[str, Any]]:
    """As runs of an experiment, those that were trained here and not taken over."""
    for version in ws.versions():
        mark = marks.read(ws, version, "train")
        if mark is None or mark.adopted or mark.seconds <= 0:
            continue
        spec = object_in(ws.version(version).spec)
        state = object_in(ws.job(f"{version}-train-1").state)
        yield {
            "family": index.family({"script": ws.script(version).name}, ws),
            "experiment": "the loop",
            "run": version,
            "device": str(spec.get("device") or ""),
            "attempts": 1,
            "seconds": mark.seconds,
            "memory": state.get("memory"),
            "settings": spec.get("settings") or {},
            "estimate": {},
        }


def estimate(plan: Plan, runs: Sequence[Run], known: Sequence[Prior]) -> tuple[dict[str, Any], list[str]]:
    """For `plan.estimates`: `time` (minutes) and `memory` of the largest run, each with `value` and `basis`; and which
    of the two nothing is known of."""
    trained = [run for run in runs if run.type != "eval-only"]
    told: dict[str, Any] = {}
    if known and trained:
        seconds, low, high, note = max(_seconds(run, known) for run in trained)
        minutes = math.ceil(seconds * _TIME[1] / 60 / _MINUTES) * _MINUTES
        took = f"{_minutes(low)} to {_minutes(high)}" if _minutes(low) != _minutes(high) else _minutes(high)
        told["time"] = {"value": str(minutes), "basis": f"{_who(known)}: {took}{note}{_record(known)}"}
    held = [one["memory"] for one in known if one["memory"]]
    if held and trained:
        needed = _quantile(held, _MEMORY[0]) * _MEMORY[1] / 2**20
        most = f"{max(held) / 2**30:.1f} GiB"
        basis = f"{_who([one for one in known if one['memory']])}: the largest process held at most {most}"
        told["memory"] = {"value": f"{math.ceil(needed / _MIB) * _MIB}M", "basis": basis}
    return told, [what for what in ("time", "memory") if what not in told]


def _seconds(run: Run, known: Sequence[Prior]) -> tuple[float, float, float, str]:
    """What nine of ten such runs would take, the least and the most, and what is to be known of it."""
    batch, epochs = _whole(run.settings, "batch_size"), _whole(run.settings, "epochs")
    of_batch, note = _of_batch(batch, known)
    start = _start_up(of_batch)
    expected = [_scaled(one, epochs, start) for one in of_batch]
    others = {e for one in of_batch if (e := _whole(one["settings"], "epochs"))}
    if epochs is not None and others and others != {epochs}:
        note += f", brought to {epochs} epochs"
    return _quantile(expected, _TIME[0]), min(expected), max(expected), note


def _of_batch(batch: int | None, known: Sequence[Prior]) -> tuple[Sequence[Prior], str]:
    """Those with the same size of batch, else with the nearest: a step takes another time."""
    sizes = {id(one): size for one in known if (size := _whole(one["settings"], "batch_size"))}
    if batch is None or not sizes:
        return known, ""
    nearest = min(sizes.values(), key=lambda size: abs(math.log(size / batch)))
    note = "" if nearest == batch else f", with batches of {nearest} instead of {batch}"
    return [one for one in known if sizes.get(id(one)) == nearest], note


def _start_up(known: Sequence[Prior]) -> float | None:
    """Seconds that do not grow with the epochs, by a straight line through runs of several lengths; None: all alike."""
    points = [(float(e), float(one["seconds"])) for one in known if (e := _whole(one["settings"], "epochs"))]
    if len({epochs for epochs, _ in points}) < 2:
        return None
    mean_x, mean_y = (math.fsum(column) / len(points) for column in zip(*points, strict=True))
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / math.fsum((x - mean_x) ** 2 for x, _ in points)
    return min(max(0.0, mean_y - slope * mean_x), *(seconds for _, seconds in points))


def _scaled(one: Prior, epochs: int | None, start: float | None) -> float:
    own, seconds = _whole(one["settings"], "epochs"), float(one["seconds"])
    if own is None or epochs is None:
        return seconds
    share = epochs / own
    if start is None:
        # fewer epochs save nothing of a start that nobody has measured
        return seconds * max(1.0, share)
    return start + (seconds - start) * share


def _whole(settings: Mapping[str, Any], key: str) -> int | None:
    """A setting under any spelling of its name."""
    for name, value in settings.items():
        if names.canonical(name) == key and (number := values.number(value)) is not None and number >= 1:
            return int(number)
    return None


def _quantile(held: Sequence[float], share: float) -> float:
    """By straight lines between the sorted values."""
    ordered = sorted(held)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _who(known: Sequence[Prior]) -> str:
    listed = sorted({one["experiment"] for one in known})
    of = ", ".join(listed[:3]) + (" and others" if len(listed) > 3 else "")
    devices = ", ".join(sorted({one["device"] for one in known if one["device"]}))
    return f"{len(known)} run{'s' if len(known) > 1 else ''} of {of}{f' on {devices}' if devices else ''}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _record(known: Sequence[Prior]) -> str:
    """How good earlier estimates of these runs were."""
    shares = []
    for one in known:
        told = one["estimate"].get("time") if isinstance(one["estimate"], dict) else None
        minutes = values.number(told.get("value")) if isinstance(told, dict) else None
        if minutes:
            shares.append(one["seconds"] / 60 / minutes)
    if not shares:
        return ""
    low, high = min(shares), max(shares)
    return f"; {len(shares)} of them were estimated before and took {low:.0%} to {high:.0%} of that"


def whole(experiment: Experiment, runs: Sequence[Run]) -> list[Run]:
    """The runs with all settings, those of the base included. Raises `InputError` where that cannot be read."""
    base = training(experiment.plan.tools.training or "").settings(experiment)
    trained = [run for run in runs if run.type != "eval-only"]
    return [run._replace(settings={**base, **_of_action(run), **run.settings}) for run in trained]


def _of_action(run: Run) -> dict[str, Any]:
    """The setting that a candidate changes."""
    action = run.action or {}
    return {names.canonical(str(action["setting"])): action["to"]} if action.get("operation") == "set" else {}


# a few steps, where nothing is known


def largest(runs: Sequence[Run]) -> Run:
    """The run that is likely to need most: by its whole numbers, such as batch, width, rank and length."""

    def size(run: Run) -> float:
        whole = (v for name, v in run.settings.items() if names.canonical(name) not in _NO_SIZE and type(v) is int)
        return math.fsum(math.log(number) for number in whole if number > 1)

    return max((run for run in runs if run.type != "eval-only"), key=size)


def probe(experiment: Experiment, runs: Sequence[Run]) -> dict[str, Any]:
    """Estimates from 30 steps of the largest run, on this machine, in a folder that is removed again.

    Raises `InputError` where the tool does not train a script, or the script does not train.
    """
    plan, run = experiment.plan, largest(whole(experiment, runs))
    worker = training(plan.tools.training or "")
    with TemporaryDirectory(prefix="progtrain-probe-") as place:
        folder = ExperimentFolder(Path(place).resolve() / experiment.folder.name)
        held = Experiment(
            experiment.ws, experiment.rules, experiment.dataset_id, folder, plan, experiment.clock, experiment.python
        )
        piece = Piece(held, next(one for one in runs if one.name == run.name))
        placing.put(worker.files(piece), worker.links(piece), folder.path)
        attempt = piece.folder.attempt("train", 1)
        request = worker.request(piece, attempt)
        root, command = Path(request.cwd), request.command
        script = root / command[1] if len(command) > 1 else root
        if script.suffix != ".py" or not script.is_relative_to(folder.path) or not script.is_file():
            reason = f"only scripts can be measured by a few steps, and {worker.name} trains otherwise"
            raise InputError(reason, place="--probe", fix="state it: --time 90 --memory 16G")
        found = smoke_test.once(root, script, command[0], command[2:], steps=_STEPS).measured
    epochs = [count for one in whole(experiment, runs) if (count := _whole(one.settings, "epochs"))]
    return from_steps(found, run, max(epochs, default=None))


def from_steps(found: Mapping[str, Any], run: Run, epochs: int | None) -> dict[str, Any]:
    """As `estimate` gives them. Validation and start are not in it: the time is taken twice."""
    told: dict[str, Any] = {}
    step, samples, batch = found.get("seconds_of_a_step"), found.get("samples"), found.get("batch_size")
    how = f"{found.get('steps')} steps of {run.name} on {found.get('device')}"
    if step and samples and batch and epochs:
        seconds = epochs * math.ceil(samples / batch) * step
        minutes = math.ceil(2 * seconds / 60 / _MINUTES) * _MINUTES
        each = f"{how}, {1000 * step:.1f} ms each: {_minutes(seconds)} for {epochs} epochs"
        basis = f"{each}; twice that, for start and validation"
        told["time"] = {"value": str(minutes), "basis": basis}
    if memory := found.get("memory"):
        needed = memory * _MEMORY[1] / 2**20
        basis = f"{how}: {memory / 2**30:.1f} GiB"
        told["memory"] = {"value": f"{math.ceil(needed / _MIB) * _MIB}M", "basis": basis}
    return told
