"""Trainings of a version's script with another seed that are there anyway: nobody has to make them for their noise.

The training before, where a version was trained again with another seed in it: `.progtrain/attempts/v002/before-1/`.
And the runs of experiments in which nothing but the seed differs from the version. Both have to be whole, and scored by
the version's evaluator on its data. The same seed again tells of the machine alone (`progtrain repeat --same-seed`);
only a script that sets none draws another one each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.analysis.types import Repeat
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import folder as experiments
from progtrain.engine.files import LineReader, read_bytes, sha256_text, try_read_json
from progtrain.engine.repeats.seeds import seed_of, with_seed
from progtrain.engine.script import version_files
from progtrain.engine.workspace import VersionFolder, Workspace

#: of a protocol: where they agree, scores are comparable
_SAME = ("evaluator_sha256", "data_sha256", "split")


def of(ws: Workspace, version: str, made: Iterable[Mapping[str, Any]]) -> tuple[Repeat, ...]:
    """Those that count beside the version as it is now. `made`: repeats of it, of which none counts twice."""
    before, named = _before(ws, version), _named_in(ws, version)
    protocol = try_read_json(ws.version(version).protocol) if before or named else None
    if protocol is None:
        return ()
    try:
        own, texts = seed_of(ws, version), version_files.lying(ws, version)
    except InputError:
        return ()
    found: list[Repeat] = []
    weights = {protocol.get("checkpoint_sha256"), *(one.get("checkpoint_sha256") for one in made)}
    seeds = {own, *(one.get("seed") for one in made)}
    for one, its in (*_trained_before(ws, version, before, texts), *_of_experiments(ws, version, named, own, texts)):
        if (own is None) != (one.seed is None) or (own is not None and one.seed in seeds):
            continue
        if its.get("checkpoint_sha256") in weights or any(its.get(name) != protocol.get(name) for name in _SAME):
            continue
        weights.add(its.get("checkpoint_sha256"))
        seeds.add(one.seed)
        found.append(one)
    return tuple(found)


def _before(ws: Workspace, version: str) -> list[VersionFolder]:
    """What was set aside when the version was trained again, in that order."""
    there = [path for path in ws.attempt(version, 1).parent.glob("before-*") if path.name[7:].isdigit()]
    return [VersionFolder(path) for path in sorted(there, key=lambda path: int(path.name[7:]))]


def _named_in(ws: Workspace, version: str) -> list[experiments.ExperimentFolder]:
    """Experiments that name the version's script and have results; a plan takes its time to be read as one."""
    there = [experiments.ExperimentFolder(path.parent) for path in sorted(ws.experiments.glob("*/results.jsonl"))]
    script = ws.script(version).name.encode()
    return [its for its in there if its.plan.is_file() and script in read_bytes(its.plan)]


def _trained_before(
    ws: Workspace, version: str, before: Iterable[VersionFolder], texts: Mapping[Path, str]
) -> Iterator[tuple[Repeat, Mapping[str, Any]]]:
    """Each with the protocol of its evaluation, where its script is the version's but for the seed."""
    for folder in before:
        spec, score, protocol = map(try_read_json, (folder.spec, folder.eval_score, folder.protocol))
        if spec is None or score is None or protocol is None:
            continue
        settings = spec.get("settings")
        seed = metrics.count(settings.get("seed") if isinstance(settings, dict) else None)
        best = spec.get("checkpoint")
        whole = isinstance(best, dict) and best.get("best_sha256") == protocol.get("checkpoint_sha256")
        if whole and _was(ws, version, texts, seed) == (spec.get("script_sha256"), spec.get("files") or {}):
            yield _repeat(folder.path.name, seed, score, folder.per_sample), protocol


def _was(ws: Workspace, version: str, texts: Mapping[Path, str], seed: int | None) -> tuple[str, dict[str, str]] | None:
    """Digests of script and files with that seed, as `spec.json` has them."""
    try:
        hashes = {ws.relative(path): sha256_text(text) for path, text in with_seed(ws, version, texts, seed).items()}
    except InputError:
        return None
    return hashes.pop(ws.relative(ws.script(version))), hashes


def _of_experiments(
    ws: Workspace,
    version: str,
    named: Iterable[experiments.ExperimentFolder],
    own: int | None,
    texts: Mapping[Path, str],
) -> Iterator[tuple[Repeat, Mapping[str, Any]]]:
    wanted = {ws.relative(path): text for path, text in texts.items()}
    for its in named:
        rows = {str(row.get("run")): row for row in LineReader(its.results).read() if _is_of_seed(row)}
        for name, row in rows.items():
            per_sample = its.path / str(row.get("per_sample") or "-")
            protocol = try_read_json(per_sample.with_name("protocol.json"))
            if protocol is not None and _texts_of(its.run(name), version, own) == wanted:
                told = f"experiment {its.name}/{name}"
                yield _repeat(told, metrics.count(row.get("seed")), row, per_sample), protocol


def _is_of_seed(row: Mapping[str, Any]) -> bool:
    """Whether a line tells of a whole training in which nothing was to vary but the seed."""
    parameters = row.get("parameters") or {}
    return (
        (row.get("state"), row.get("epoch")) == ("done", "best")
        and row.get("type") in ("trained", "control")
        and not row.get("changes")
        and row.get("pruned") is None
        and isinstance(parameters, dict)
        and not set(parameters) - {"seed"}
    )


def _texts_of(run: experiments.RunFolder, version: str, seed: int | None) -> dict[str, str] | None:
    """Script and files of a run, with the version's seed in them; None where it has no such script."""
    own = Workspace(run.workspace.absolute())
    if not own.script(version).is_file():
        return None
    try:
        texts = with_seed(own, version, version_files.lying(own, version), seed)
    except InputError:
        return None
    return {own.relative(path): text for path, text in texts.items()}


def _repeat(name: str, seed: int | None, score: Mapping[str, Any], per_sample: Path) -> Repeat:
    values = metrics_in(score)
    return Repeat(name=name, seed=seed, metrics=values, per_sample=per_sample if per_sample.is_file() else None)


def metrics_in(score: Mapping[str, Any]) -> dict[str, float | None]:
    """Of a score as it is written: by name; what is no metric is left out."""
    listed = score.get("metrics")
    named = [m for m in (listed if isinstance(listed, list) else ()) if isinstance(m, dict) and "name" in m]
    return {str(m["name"]): metrics.finite(m.get("value")) for m in named}
