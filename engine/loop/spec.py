"""`spec.json`: what a training was, completed by the engine where the script says little."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from progtrain.engine import comparable, prepared_data, values
from progtrain.engine.additions import folder
from progtrain.engine.control import digests
from progtrain.engine.control.context import Context
from progtrain.engine.errors import InputError, StepFailed, in_file
from progtrain.engine.files import LineReader, read_json, read_text, try_read_json, write_json
from progtrain.engine.hooks import record_of, used_of
from progtrain.engine.script import as_used, probe, version_files
from progtrain.engine.script.action.parts import additions
from progtrain.engine.script.names import canonical
from progtrain.engine.script.settings import choose_setting, find_settings, values_of
from progtrain.engine.text import clean_line
from progtrain.engine.workspace import VersionFolder, Workspace

#: Keys of spec.json under which scripts put their settings.
_SETTING_GROUPS = "settings hparams hyperparameters hyper_parameters config params training_config"
#: where what stands in a script is meant to count; the defaults of a class are often given otherwise
_SAID = frozenset({"constant", "dict", "argparse", "file"})
_TUPLE, _LIST = "tag:yaml.org,2002:python/tuple", "tag:yaml.org,2002:seq"


def complete(context: Context, version: str, *, started_at: datetime, begun: Mapping[str, Any] | None = None) -> None:
    """Adds what is missing; nothing that the script wrote is changed. `begun`: how all was before it was started, and
    the names of what has changed since. Raises `InputError` when it is no JSON object."""
    ws, folder = context.ws, context.ws.version(version)
    spec = read_json(folder.spec) if folder.spec.exists() else {}
    if not isinstance(spec, dict):
        raise InputError("spec.json is one JSON object", file=folder.spec, fix="write an object from the script")
    given = dict(begun["started_with"] if begun else started_with(context, version))
    settings = given.pop("settings")
    setup = _setup(ws.live(version))
    stated = spec.get("checkpoint")
    checkpoint: dict[str, Any] = stated if isinstance(stated, dict) else setup.get("checkpoint") or {}
    best = digests.of(ws, folder.best_checkpoint) if folder.best_checkpoint.exists() else None
    known = {
        "version": version,
        "dataset_id": context.dataset_id,
        "created_at": context.clock().isoformat(timespec="seconds"),
        "training_started_at": started_at.isoformat(timespec="seconds"),
        "script": ws.script(version).name,
        "seed": settings.get("seed", context.rules.seed),
        "settings": settings,
        "parameters": setup.get("parameters"),
        "split": _split(context, version),
        "data": given.pop("data"),
        "libraries": setup.get("libraries"),
        "device": setup.get("device"),
        "precision": setup.get("precision"),
        "log_dir": _log_dir(folder),
        "not_required": _not_required(folder),
    }
    # what the engine itself answers for stands as it was before the training, whatever the script says
    measured = {**given, "checkpoint": {**checkpoint, "best_sha256": best}}
    if begun and (changed := begun.get("changed")):
        of_data = [name for name in changed if prepared_data.is_trained_with(ws, context.dataset_id, name)]
        measured |= {"changed_while_trained": changed} | ({"data_changed_while_trained": of_data} if of_data else {})
    write_json(folder.spec, {**known, **spec, **measured})


def started_with(context: Context, version: str) -> dict[str, Any]:
    """What a training gets to begin with, as `spec.json` has it. Raises `InputError` for what is broken."""
    ws, script = context.ws, context.ws.script(version)
    with in_file(script.name):
        settings = values_of(find_settings(version_files.read(ws, version)))
    stats = prepared_data.read_stats(ws.stats(context.dataset_id))
    prints = prepared_data.fingerprints(ws, context.dataset_id)
    return {
        "settings": settings,
        "data": {"counts": prepared_data.counts_in(stats), "task_type": prepared_data.task_in(stats)},
        "script_sha256": digests.of(ws, script),
        "files": {ws.relative(p): digests.of(ws, p) for name, p in version_files.paths(ws, version).items() if name},
        "rules_sha256": context.rules.sha256,
        "data_sha256": prints["data"],
        # apart: a version is judged on the one, whatever else it was trained on
        "train_sha256": prints.get("train"),
        "valid_sha256": prints.get("valid"),
        **_as_before(ws, version, context.dataset_id),
        **additions_of(ws, version, context.dataset_id),
    }


def _as_before(ws: Workspace, version: str, dataset_id: str) -> dict[str, Any]:
    """Fingerprints as they once were made, where a version has such: by them it is seen to have had the same data."""
    specs = (try_read_json(ws.version(other).spec) for other in ws.versions() if other != version)
    if all(not isinstance(spec, dict) or "data_sha256" not in spec or "data_hashed" in spec for spec in specs):
        return {"data_hashed": "contents"}
    once = prepared_data.fingerprints_before(ws, dataset_id)
    return {"data_hashed": "contents", "data_sha256_once": once["data"], "train_sha256_once": once.get("train")}


def additions_of(ws: Workspace, version: str, dataset_id: str) -> dict[str, Any]:
    """Rows that it trained with besides. Raises `InputError` where they are not as they were made."""
    used = additions.used(str(version_files.read(ws, version))) or ()
    names = [name for name in used if "/" not in name]  # not the random rows of a control
    return {
        "additions": names,
        "additions_sha256": {name: folder.sha256_of(ws, dataset_id, name) for name in names},
    }


def _split(context: Context, version: str) -> dict[str, Any] | None:
    """Of a split made within the script: how, and a digest of what is validated on."""
    found = comparable.split_of(context.ws, version)
    return None if found is None else {name: found.get(name) for name in ("by", "count", "sha256")}


def check_locks(context: Context, version: str) -> None:
    """Every locked setting must be what the training really used. Raises `StepFailed` with both values.

    What else the training contradicts is told: in the journal, and as `contradicted` of spec.json.
    """
    ws, folder, locked = context.ws, context.ws.version(version), context.rules.locked
    record, used = record_of(ws, version), used_of(ws, version)
    for name, value, wanted in probe.broken_locks(record, locked):
        # a schedule may bring a rate that the optimizer was not made with: what it stepped with is looked at below
        if name == "learning_rate" and any(one.get("optimizers") and not one.get("searched") for one in used[:1]):
            continue
        raise _unlike(name, value, wanted, ws.script(version))
    stated = _stated(context, version)
    told = [text for text in [as_used.unseen(used, record, locked)] if text]
    for key, value, where, sure in as_used.unlike(used, record, locked, declared=stated):
        text, fix = probe.unlike_rules(f"{key} was {values.show(value)} {where}", key, locked[key])
        if sure:
            raise StepFailed(text, file=ws.script(version), fix=fix)
        told.append(text)
    for name, value, path in [*_from_hparams(folder), *_from_spec(folder)]:
        wanted = locked.get(key := canonical(name))
        if key in locked and not values.same(value, wanted):
            raise _unlike(name, value, wanted, path, f"key {name}")
    told += as_used.said_otherwise(used, record, stated, locked=locked)
    if told := [clean_line(text) for text in dict.fromkeys(told)]:
        write_json(folder.spec, {**read_json(folder.spec), "contradicted": told})
        for text in told:
            context.journal.write("warning", text=f"{version}: {text}")


def _stated(context: Context, version: str) -> dict[str, list[tuple[str, Any]]]:
    """Of canonical settings, who says which value: script and files, hparams.yaml, spec.json as the script wrote it."""
    ws, folder = context.ws, context.ws.version(version)
    found: dict[str, list[tuple[str, Any]]] = {}
    settings = find_settings(version_files.read(ws, version))
    counts = values_of(settings)
    for key in counts:
        # words that the script is started with win over what it says; where it says several, any may be meant
        with suppress(InputError):
            chosen = None if context.rules.training_args else choose_setting(settings, key)
            own = chosen is not None and chosen.source in _SAID and (not chosen.file or chosen.source == "file")
            found[key] = [("the script", chosen.value)] if own and chosen else []
    for name, value, path in [*_from_hparams(folder), *_from_spec(folder)]:
        key = canonical(name)
        if key not in counts or not values.same(value, counts[key]):
            found.setdefault(key, []).append((path.name, value))
    return found


def _unlike(name: str, value: Any, wanted: Any, file: Path, place: str | None = None) -> StepFailed:
    text, fix = probe.unlike_rules(f"{name} was {value!r} in the training", canonical(name), wanted)
    return StepFailed(text, file=file, place=place, fix=fix)


def _setup(live: Path) -> dict[str, Any]:
    return next((line["setup"] for line in LineReader(live).read() if isinstance(line.get("setup"), dict)), {})


def _log_dir(folder: VersionFolder) -> str | None:
    dirs = folder.log_dirs()
    return dirs[-1].relative_to(folder.path).as_posix() if dirs else None


def _not_required(folder: VersionFolder) -> list[str]:
    assets = folder.additional_assets
    spared = [] if assets.is_dir() and any(assets.iterdir()) else ["additional_assets"]
    return spared if folder.last_checkpoint.exists() else [*spared, "last.ckpt"]


def _from_hparams(folder: VersionFolder) -> Iterator[tuple[str, Any, Path]]:
    dirs = folder.log_dirs()
    path = dirs[-1] / "hparams.yaml" if dirs else None
    if path is None or not path.is_file():
        return
    try:
        loader = yaml.SafeLoader(read_text(path))
        saved = loader.get_single_node()
    except yaml.YAMLError as error:
        raise InputError(f"not valid YAML: {error}", file=path, fix="let CSVLogger write it") from error
    for name, node in saved.value if isinstance(saved, yaml.MappingNode) else ():
        # a tuple has a tag of Python's own; other objects are left out: nothing of a file is ever executed
        node.tag = _LIST if node.tag == _TUPLE else node.tag
        with suppress(yaml.constructor.ConstructorError):
            yield str(name.value), loader.construct_object(node, deep=True), path


def _from_spec(folder: VersionFolder) -> Iterator[tuple[str, Any, Path]]:
    spec = read_json(folder.spec)
    for group in (spec, *(spec.get(name) for name in _SETTING_GROUPS.split())):
        for name, value in group.items() if isinstance(group, dict) else ():
            if not isinstance(value, dict):
                yield str(name), value, folder.spec
