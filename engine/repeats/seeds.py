"""The seed of a script: where it stands, and the script's files with another one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from progtrain.engine.errors import InputError
from progtrain.engine.script import version_files
from progtrain.engine.script.action.set import put
from progtrain.engine.script.settings import choose_setting, find_settings
from progtrain.engine.script.sources import joined, parted
from progtrain.engine.workspace import Workspace

SEED = "seed"


def seed_of(ws: Workspace, version: str) -> int | None:
    """None: the script sets none, and no two of its trainings are alike. Raises `InputError`."""
    setting = choose_setting(find_settings(joined(ws.root, version_files.lying(ws, version))), SEED)
    return setting.value if setting is not None and isinstance(setting.value, int) else None


def with_seed(ws: Workspace, version: str, texts: Mapping[Path, str], seed: int | None) -> dict[Path, str]:
    """Raises `InputError` where the seed stands in a place that cannot be changed."""
    if seed is None:
        return dict(texts)
    source: str = put(joined(ws.root, texts), SEED, seed)
    return parted(ws.root, ws.script(version), source)


def changeable(ws: Workspace, version: str) -> None:
    """Raises `InputError` where the script's seed stands in a place that cannot be changed."""
    own = seed_of(ws, version)
    with_seed(ws, version, version_files.lying(ws, version), None if own is None else own + 1)


def why_none(ws: Workspace, version: str) -> str:
    """What keeps a script from being run with another seed; empty where nothing does."""
    try:
        return "" if seed_of(ws, version) is not None else f"{ws.script(version).name} sets no seed"
    except InputError as error:
        return error.reason
