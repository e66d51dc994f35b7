"""Whether two versions may be compared: scored alike, validated on the same samples, trained on the same data."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Mapping
from typing import Any

from progtrain.engine.analysis.compare import serving
from progtrain.engine.errors import InputError
from progtrain.engine.files import MOST_TABLE, read_text, try_read_json
from progtrain.engine.json_text import loaded
from progtrain.engine.schema import Protocol, load
from progtrain.engine.workspace import Workspace

#: how a split is drawn -> how it is drawn alike each time
_SEEDS = {
    "random_split": "give random_split a generator with a fixed seed",
    "train_test_split": "give train_test_split a fixed random_state",
    "SubsetRandomSampler": "draw the numbers that SubsetRandomSampler gets with a fixed seed",
}
DRAWN = frozenset({*_SEEDS, "Subset"})


#: what a version was scored, validated and trained on: protocol, split where it is its own, fingerprint of the data
Basis = tuple[Protocol | None, Mapping[str, Any] | None, str]


def why_not(ws: Workspace, version: str, other: str) -> str:
    """What keeps `version` from being compared with `other`: "was ..."; empty where nothing does."""
    return difference(basis_of(ws, version), basis_of(ws, other))


def basis_of(ws: Workspace, version: str) -> Basis:
    own = has_split_of_its_own(_script(ws, version))
    return _protocol(ws, version), split_of(ws, version) if own else None, _data_of(ws, version)


def difference(one: Basis, other: Basis) -> str:
    """As `why_not`, of what was read before."""
    (mine, split, data), (theirs, other_split, other_data) = one, other
    if theirs is None:
        return ""
    if mine is None or not mine.comparable(theirs):
        return "was scored by another evaluator or on other data"
    if serving.is_mixed(shares := serving.shares_in(mine.served_by)):
        return f"was served by more than one path ({serving.told(shares)})"
    if serving.is_mixed(shares := serving.shares_in(theirs.served_by)):
        return f"cannot be held against what more than one path has served ({serving.told(shares)})"
    if changed := split_change(split, other_split):
        return f"was validated on other samples ({changed})"
    if data and other_data and data != other_data:
        return "was trained on data that have changed since, or had other ones"
    return ""


def split_of(ws: Workspace, version: str) -> Mapping[str, Any] | None:
    """Which samples the version's script held out, as the hooks in its training saw it."""
    found = try_read_json(ws.split_record(version))
    return found if isinstance(found, dict) and isinstance(found.get("sha256"), str) else None


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


def has_split_of_its_own(text: str) -> bool:
    """A script that offers load_split is scored on what that gives, whatever its training looks at."""
    return not re.search(r"\bload_split\b", text)


def _script(ws: Workspace, version: str) -> str:
    try:
        return read_text(ws.script(version))
    except InputError:
        return ""


def _data_of(ws: Workspace, version: str) -> str:
    """Fingerprint of the data as they were when it was trained, where they lie in a place of the user's own."""
    spec = try_read_json(ws.version(version).spec)
    if not isinstance(spec, dict) or not ws.source(str(spec.get("dataset_id"))).is_file():
        return ""
    return str(spec.get("data_sha256") or "")


def _protocol(ws: Workspace, version: str) -> Protocol | None:
    try:
        return load(ws.version(version).protocol, Protocol)
    except InputError:
        return None
