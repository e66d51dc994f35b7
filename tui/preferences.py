"""The user's own settings of the app. `~/.config/progtrain/keys.toml` gives other keys to actions:

    [keys]
    "review.accept" = "ctrl+y"
    "up" = "up,k,p"

`progtrain-tui --keys` lists all names with their keys. `app.toml` beside it says how the app looks:

    theme = "ansi-16"
    pixels = false
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import platformdirs

from progtrain.engine.errors import InputError
from progtrain.engine.files import object_in, read_text, write_json


def config_folder() -> Path:
    return platformdirs.user_config_path("progtrain")


def cache_folder() -> Path:
    return platformdirs.user_cache_path("progtrain")


def _view_file(root: Path) -> Path:
    return platformdirs.user_state_path("progtrain") / "views" / f"{zlib.crc32(os.fsencode(root)):08x}.json"


def read_view(root: Path) -> dict[str, Any]:
    """How the user looked at this workspace the last time; empty where that is not known."""
    data = object_in(_view_file(root))
    # of two folders with the same sum, the one that was looked at last
    return data if data.get("workspace") == str(root) else {}


def write_view(root: Path, view: dict[str, Any]) -> None:
    """Raises `StorageError` where nothing can be written."""
    write_json(_view_file(root), {**view, "workspace": str(root)})


def read_keys(folder: Path) -> dict[str, str]:
    """Binding name -> keys. Empty without a file. Raises `InputError` for one that cannot be read."""
    path = folder / "keys.toml"
    data = _read_toml(path)
    keys = data.get("keys", data)
    if not isinstance(keys, dict):
        raise InputError("keys is a table of names and keys", file=path, place="key keys", fix='write "quit" = "q"')
    for name, value in keys.items():
        if not isinstance(value, str) or not value.strip():
            raise InputError('a key is a text such as "ctrl+y" or "up,k"', file=path, place=f"key {name}")
    return {str(name): str(value) for name, value in keys.items()}


def read_look(folder: Path) -> tuple[str | None, bool]:
    """The theme of workspaces in which none was chosen, and whether pictures may be pixels; None and yes by default.

    Raises `InputError` for a file that cannot be read, and for keys that mean nothing.
    """
    path = folder / "app.toml"
    data = _read_toml(path)
    for name, value in data.items():
        known = {"theme": str, "pixels": bool}.get(name)
        if known is None:
            raise InputError("there is no such setting", file=path, place=f"key {name}", fix="use theme or pixels")
        if not isinstance(value, known):
            fix = 'write theme = "ansi-16"' if name == "theme" else "write pixels = true, or false"
            raise InputError(f"{value!r} does not fit", file=path, place=f"key {name}", fix=fix)
    return data.get("theme"), data.get("pixels", True)


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    import tomllib  # most have no such file

    try:
        return tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"cannot be read: {error}", file=path, fix="correct it, or remove the file") from error
