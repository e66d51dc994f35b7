"""Whether two versions may be compared: scored alike, validated on the same samples, trained on the same data."""

from __future__ import annotations

import base64
import csv
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from progtrain.engine import metrics, values
from progtrain.engine.analysis.compare import serving
from progtrain.engine.errors import InputError
from progtrain.engine.files import (
    MOST_TABLE,
    is_there,
    lines_of,
    object_in,
    read_bytes,
    read_text,
    sha256_text,
    try_read_json,
)
from progtrain.engine.json_text import loaded
from progtrain.engine.workspace import Workspace

#: how a split is drawn -> how it is drawn alike each time
_SEEDS = {
    "random_split": "give random_split a generator with a fixed seed",
    "train_test_split": "give train_test_split a fixed random_state",
    "SubsetRandomSampler": "draw the numbers that SubsetRandomSampler gets with a fixed seed",
}
DRAWN = frozenset({*_SEEDS, "Subset"})


#: what a score must have been made with alike: evaluator, data, seed and split
_ALIKE = ("evaluator_sha256", "data_sha256", "seed", "split")
#: fingerprint of no files at all
_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


#: what a version was scored, validated and trained on, by these names:
#:   protocol: how it was scored; None: nothing says so
#:   split: of the validation samples, where its script draws its own
#:   data: fingerprints of the training data, and of all data; more than one where they were made in several ways
#:   samples: how many samples were scored and a digest of their ids; empty where nobody knows
#:   to_validate_on: how many there were by `stats.json`
#:   doubt: why its score counts for nothing, whatever it is compared with; empty where it does
Basis = Mapping[str, Any]


def why_not(ws: Workspace, version: str, other: str) -> str:
    """What keeps `version` from being compared with `other`: "was ..."; empty where nothing does."""
    return difference(basis_of(ws, version), basis_of(ws, other))


def standing(ws: Workspace, versions: Sequence[str]) -> dict[str, str]:
    """Version -> why it is not compared with the others and has no rank, as `why_not` says it; of those with a score.

    The newest one whose score counts says with what the others must agree. Of versions that were scored alike but on
    other samples it is the script that has left some out or put some in: right are those that `stats.json` has the
    number of, else those of the first of them. Of another truth for the same samples the first one's is right.
    """
    return standing_of(bases_of(ws, versions))


def bases_of(ws: Workspace, versions: Sequence[str]) -> dict[str, Basis]:
    """Of those with a score."""
    lie_elsewhere = cache(partial(_lie_elsewhere, ws))  # most have the same
    return {name: basis_of(ws, name, lie_elsewhere) for name in versions if is_there(ws.version(name).eval_score)}


def standing_of(bases: Mapping[str, Basis]) -> dict[str, str]:
    """As `standing`, of what was read before, in order."""
    alike: dict[Any, list[Basis]] = {}
    for one in bases.values():
        if not one["doubt"]:
            alike.setdefault(_how_scored(one), []).append(one)
    right = {how: _right(group) for how, group in alike.items()}
    counting = (one for one in reversed([*bases.values()]) if not one["doubt"])
    newest = next((one for one in counting if not _other_samples(one, right[_how_scored(one)])), basis(None))
    return {version: why for version, one in bases.items() if (why := difference(one, newest))}


def _right(alike: Sequence[Basis]) -> Basis:
    """The one that was scored on the right samples, as far as anybody knows."""
    known = [one for one in alike if one["samples"]]
    stated = (one for one in known if _count(one["samples"]) == one["to_validate_on"])
    return next(stated, next(iter(known), alike[0]))


def _other_samples(one: Basis, other: Basis) -> str:
    if one["samples"] and other["samples"] and one["samples"] != other["samples"]:
        mine, theirs = _count(one["samples"]), _count(other["samples"])
        counts = f"{mine} instead of {theirs}" if mine != theirs else f"{mine} other ones"
        return f"was scored on other samples ({counts}), by the same evaluator and on the same data"
    if (truth := _truth(one)) and (its := _truth(other)) and truth != its:
        return "was scored on another truth for the same samples: its load_split gives other targets"
    return ""


def _truth(one: Basis) -> str:
    """A digest of samples with their targets, where the script names its samples; a loader's are only numbered."""
    told = one["protocol"] or {}
    numbered = re.search("validation_step|val_dataloader", str(told.get("targets")))
    return "" if numbered else str(told.get("samples_sha256") or "")


def basis(protocol: Mapping[str, Any] | None, **known: Any) -> Basis:
    """By what is known; the rest says nothing."""
    nothing: Basis = {
        "split": None,
        "data": (frozenset(), frozenset()),
        "samples": "",
        "to_validate_on": None,
        "doubt": "",
    }
    return {**nothing, "protocol": protocol, **known}


def basis_of(ws: Workspace, version: str, lie_elsewhere: Callable[[str], bool] | None = None) -> Basis:
    """`lie_elsewhere`: knows whether data of an id are in a place of the user's own."""
    folder = ws.version(version)
    spec, mark = (object_in(path) for path in (folder.spec, ws.mark(version, "evaluate")))
    inputs = values.within(mark, "inputs")
    split = split_of(ws, version)
    read = {path.name: _bytes_of(path) for path in (folder.eval_score, folder.protocol)}
    return basis(
        _protocol(read[folder.protocol.name]),
        split=split if split and has_split_of_its_own(_script(ws, version)) else None,
        data=_data_of(spec, lie_elsewhere or partial(_lie_elsewhere, ws)),
        samples=str(inputs.get("samples") or samples_in(folder.per_sample)),
        to_validate_on=_to_validate_on(spec),
        doubt=_doubt(version, spec, mark, read),
    )


def protocol_in(path: Path) -> Mapping[str, Any] | None:
    """How a score was made, as far as it says what it must; None where it does not."""
    return _protocol(_bytes_of(path))


def _protocol(data: bytes | None) -> Mapping[str, Any] | None:
    try:
        found = loaded(data or b"{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) and all(found.get(name) is not None for name in _ALIKE) else None


def _bytes_of(path: Path) -> bytes | None:
    """None where it is missing, or somebody keeps it to himself: then its score is not seen either."""
    try:
        return read_bytes(path)
    except OSError:
        return None


def difference(one: Basis, other: Basis) -> str:
    """As `why_not`, of what was read before."""
    if one["doubt"]:
        return str(one["doubt"])
    if other["doubt"]:
        return f"cannot be held against a version that {other['doubt']}"
    if other["protocol"] is None:
        return ""
    if one["protocol"] is None or _how_scored(one) != _how_scored(other):
        return "was scored by another evaluator or on other data"
    if others := _other_samples(one, other):
        return others
    if serving.is_mixed(shares := serving.shares_in(one["protocol"].get("served_by"))):
        return f"was served by more than one path ({serving.told(shares)})"
    if serving.is_mixed(shares := serving.shares_in(other["protocol"].get("served_by"))):
        return f"cannot be held against what more than one path has served ({serving.told(shares)})"
    if changed := split_change(one["split"], other["split"]):
        return f"was validated on other samples ({changed})"
    if not _same_data(one["data"], other["data"]):
        return "was trained on data that have changed since, or had other ones"
    return ""


def _how_scored(one: Basis) -> str:
    """The same for scores that were made alike; each of those of which nobody knows is by itself."""
    return repr([one["protocol"][name] for name in _ALIKE]) if one["protocol"] is not None else f"unknown {id(one)}"


def _same_data(mine: tuple[frozenset[str], frozenset[str]], theirs: tuple[frozenset[str], frozenset[str]]) -> bool:
    """By the training data alone where both say so: on other validation data a version is scored again."""
    known = [(one, other) for one, other in zip(mine, theirs, strict=True) if one and other]
    return not known or bool(known[0][0] & known[0][1])


def _count(samples: str) -> int:
    return metrics.count(values.number(samples.partition(" ")[0])) or 0


def _doubt(version: str, spec: Mapping[str, Any], mark: Mapping[str, Any], read: Mapping[str, bytes | None]) -> str:
    """Why a score counts for nothing: what lies there is not what was written, or not of what lies there now.

    `read`: outputs of the evaluation that decide, by their names.
    """
    again = f"progtrain step evaluate --version {version} makes it anew"
    written = {name.rpartition("/")[2]: digest for name, digest in values.within(mark, "outputs").items()}
    for name, data in read.items():
        if data is not None and name in written and sha256_text(data) != written[name]:
            return f"has another {name} than its evaluation wrote ({again})"
    scored = values.within(mark, "inputs").get("checkpoint")
    trained = values.within(spec, "checkpoint").get("best_sha256")
    if scored and trained and scored != trained:
        return f"was scored before its last training ({again})"
    return "was trained while its data changed" if spec.get("data_changed_while_trained") else ""


def _to_validate_on(spec: Mapping[str, Any]) -> int | None:
    return metrics.count(values.within(spec, "data", "counts").get("valid"))


def split_of(ws: Workspace, version: str) -> Mapping[str, Any] | None:
    """Which samples the version's script held out, as the hooks in its training saw it."""
    found = try_read_json(ws.split_record(version))
    return found if found is not None and isinstance(found.get("sha256"), str) else None


def split_change(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """How two splits of the same data differ, and what to do; empty where they don't, or nobody knows."""
    if before is None or after is None or before["sha256"] == after["sha256"] or before.get("by") != after.get("by"):
        return ""
    count = after.get("count")
    old, new = _ids(before), _ids(after)
    others = f"{len(new - old)} of {count} validation samples are other ones" if old and new else "other samples"
    if count != before.get("count"):
        others = f"{count} validation samples instead of {before.get('count')}"
    return f"split changed: {others}; {_SEEDS.get(str(after.get('by')), 'draw it with a fixed seed')}"


def _unpacked(text: str) -> bytes:
    """Of a text that says more than any list of samples nothing."""
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b64decode(text), MOST_TABLE)
    return b"" if unpacker.unconsumed_tail else data


def _ids(split: Mapping[str, Any]) -> set[str]:
    try:
        return {str(one) for one in loaded(_unpacked(split.get("ids") or ""))}
    except (ValueError, zlib.error, TypeError):
        return set()


def samples_in(path: Path) -> str:
    """How many samples a per-sample table has, and a digest of their ids whatever their order; empty without one."""
    try:
        ids = sorted(str(row.get("sample_id")) for row in csv.DictReader(lines_of(path)))
    except (OSError, ValueError, csv.Error):
        return ""
    return f"{len(ids)} {sha256_text(json.dumps(ids))}"


def has_split_of_its_own(text: str) -> bool:
    """A script that offers load_split is scored on what that gives, whatever its training looks at."""
    return not re.search(r"\bload_split\b", text)


def _script(ws: Workspace, version: str) -> str:
    try:
        return read_text(ws.script(version))
    except InputError:
        return ""


def _lie_elsewhere(ws: Workspace, dataset_id: str) -> bool:
    return is_there(ws.source(dataset_id))


def _data_of(spec: Mapping[str, Any], lie_elsewhere: Callable[[str], bool]) -> tuple[frozenset[str], frozenset[str]]:
    """Fingerprints of the data as they were when it was trained; of all where they lie in a place of the user's own."""
    elsewhere = lie_elsewhere(str(spec.get("dataset_id")))
    train, data = (
        frozenset(str(spec[key]) for key in (f"{name}_sha256", f"{name}_sha256_once") if spec.get(key)) - {_NOTHING}
        for name in ("train", "data")
    )
    return frozenset() if elsewhere else train, data
