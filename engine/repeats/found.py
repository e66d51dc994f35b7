"""What is there of repeats: read from what each of them left, as far as it is of the version as it is now."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from progtrain.engine import comparable, metrics
from progtrain.engine.analysis.measure.added import CONTROL
from progtrain.engine.analysis.types import Repeat
from progtrain.engine.errors import InputError
from progtrain.engine.files import object_in, sha256_text, try_read_json, write_json
from progtrain.engine.repeats import free
from progtrain.engine.script import version_files
from progtrain.engine.workspace import RepeatFolder, Workspace

_NAME = re.compile(r"r([1-9]\d{0,5})")


def folders(ws: Workspace, version: str) -> list[RepeatFolder]:
    """In the order in which they were begun."""
    top = ws.repeats(version)
    names = [path.name for path in top.iterdir() if _NAME.fullmatch(path.name)] if top.is_dir() else []
    return [ws.repeat(version, name) for name in sorted(names, key=lambda name: int(name[1:]))]


def beside(ws: Workspace, version: str) -> list[RepeatFolder]:
    """All trainings of a version's script but its own: those with other seeds, and the one with random rows."""
    control = ws.repeat(version, CONTROL)
    return [*folders(ws, version), *([control] if control.begun.is_file() else [])]


def script_sha256(ws: Workspace, version: str) -> str:
    """Changes when the version's script does, or a file that it has of its own. Raises `InputError`."""
    texts = version_files.lying(ws, version)
    return sha256_text(repr(sorted((ws.relative(path), sha256_text(text)) for path, text in texts.items())))


def made(ws: Workspace, version: str, *, same_seed: bool = False) -> list[dict[str, Any]]:
    """The results that count beside the version as it is now."""
    return [held for held, why_not in _results(ws, version) if not why_not and bool(held["same_seed"]) == same_seed]


def _results(ws: Workspace, version: str) -> Iterable[tuple[dict[str, Any], str]]:
    """Each with the reason why it does not count; empty where it does."""
    there = folders(ws, version)
    if not there:
        return
    script, now = script_sha256(ws, version), object_in(ws.version(version).protocol)
    for folder in there:
        held = try_read_json(folder.result)
        if held is not None and isinstance(held.get("metrics"), list):
            yield {"same_seed": False, **held}, _why_not(held, script, now)


def _why_not(held: Mapping[str, Any], script: str, now: Mapping[str, Any]) -> str:
    if held.get("state") != "finished":
        return str(held.get("reason") or "it failed")
    if held.get("script_sha256") != script:
        return "the script has changed since"
    for name, what in (("evaluator_sha256", "by another evaluator"), ("data_sha256", "on other data")):
        if held.get(name) != now.get(name, ""):
            return f"it was scored {what}"
    return ""


def of(ws: Workspace, version: str) -> tuple[Repeat, ...]:
    """Those with other seeds than the version's own: repeats, and what is there anyway."""
    counted = [held for held in made(ws, version) if _NAME.fullmatch(str(held.get("run")))]
    repeats = (
        Repeat(
            name=str(held["run"]),
            seed=metrics.count(held.get("seed")),
            metrics=free.metrics_in(held),
            per_sample=path if (path := ws.repeat(version, str(held["run"])).per_sample).is_file() else None,
        )
        for held in counted
    )
    return (*repeats, *free.of(ws, version, counted))


def reported(ws: Workspace, version: str) -> list[Mapping[str, float | None]]:
    """What the evaluations of its runs said, its own first; empty where it has no score."""
    own = try_read_json(ws.version(version).eval_score)
    if own is None or not isinstance(own.get("metrics"), list):
        return []
    return [free.metrics_in(own), *(one.metrics for one in of(ws, version))]


def told_beside(ws: Workspace, basis: comparable.Basis) -> dict[str, list[Mapping[str, float | None]]]:
    """What tells of seed noise: of each version with several runs that can be compared with what has this basis, what
    these runs reported."""
    told = {name: _reported(ws, name) for name in ws.versions()}
    several = {name: runs for name, runs in told.items() if len(runs) > 1}
    return {
        name: runs for name, runs in several.items() if not comparable.difference(comparable.basis_of(ws, name), basis)
    }


def _reported(ws: Workspace, version: str) -> list[Mapping[str, float | None]]:
    try:
        return reported(ws, version)
    except InputError:  # without its script nobody can say of which one its repeats are
        return []


def outdated(ws: Workspace, version: str) -> list[str]:
    """Why finished repeats do not count, a reason each."""
    told = [
        (str(held.get("run")), why) for held, why in _results(ws, version) if why and held.get("state") == "finished"
    ]
    return [f"{run} of {version} does not count: {why}" for run, why in told]


def write(ws: Workspace, version: str) -> None:
    """`repeats.json`: all of them, and the spread over the version's own run and those that count."""
    write_json(ws.repeats_table(version), _summed_up(ws, version))


def tell_of_free(ws: Workspace, version: str, runs: Iterable[Repeat]) -> None:
    """Writes `repeats.json` where what is there anyway among `runs`, those that count, is not told of yet."""
    if any(not _NAME.fullmatch(one.name) for one in runs):
        told = _summed_up(ws, version)
        if try_read_json(ws.repeats_table(version)) != told:
            write_json(ws.repeats_table(version), told)


def _summed_up(ws: Workspace, version: str) -> dict[str, Any]:
    runs = reported(ws, version)
    names = dict.fromkeys(name for run in runs for name in run)
    spread = {name: told for name in names if (told := _spread([run.get(name) for run in runs]))}
    listed = [{**held, "counts": not why, "why_not": why} for held, why in _results(ws, version)]
    listed += [_as_run(one) for one in of(ws, version) if not _NAME.fullmatch(one.name)]
    return {"version": version, "runs": listed, "spread": spread}


def _as_run(one: Repeat) -> dict[str, Any]:
    values = [{"name": name, "value": value} for name, value in one.metrics.items()]
    told = {"run": one.name, "seed": one.seed, "same_seed": False, "state": "finished", "metrics": values}
    return {**told, "counts": True, "why_not": ""}


def _spread(found: Iterable[float | None]) -> dict[str, float] | None:
    held = [value for value in found if value is not None]
    if len(held) < 2:
        return None
    mean = math.fsum(held) / len(held)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in held) / (len(held) - 1))
    return {"n": len(held), "mean": mean, "sd": sd, "min": min(held), "max": max(held)}


def tried(ws: Workspace, version: str) -> int:
    """How many repeats of the version as it is now were made, or failed."""
    script = script_sha256(ws, version) if folders(ws, version) else ""
    return sum(held.get("script_sha256") == script for held, _ in _results(ws, version))


def hopeless(ws: Workspace, version: str) -> bool:
    """Whether no seed will do: what one came to cannot stand beside the version, and the script is why."""
    script = script_sha256(ws, version) if folders(ws, version) else ""
    return any(held.get("script_sha256") == script and held.get("unlike") for held, _ in _results(ws, version))


def anyway(ws: Workspace, version: str) -> int:
    """How many trainings with other seeds there are that no repeat made."""
    return sum(not _NAME.fullmatch(one.name) for one in of(ws, version))
