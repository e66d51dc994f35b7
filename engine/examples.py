"""The examples that come along, and the beginning of a workspace of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from progtrain.engine.errors import InputError
from progtrain.engine.files import read_bytes, try_read_json, write_bytes, write_text
from progtrain.engine.rules import instruction
from progtrain.engine.workspace import Workspace

NAMES = ("digits", "wine", "diabetes")


def folder() -> Path:
    """In a wheel beside this module, in a checkout at the top. Holds a folder for each name."""
    packaged = Path(__file__).parent / "bundled_examples"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[1] / "examples"


def complete_rules() -> Path:
    """The reference of all keys, which is also the digits example's rules."""
    packaged = folder() / "user_defined_rules.json"
    return packaged if packaged.is_file() else Path(__file__).resolve().parents[1] / "user_defined_rules.json"


def scripts(name: str) -> list[Path]:
    return sorted((folder() / name).glob("*.py"))


def write(name: str, directory: Path) -> list[Path]:
    """Copies an example; a file that is there as it should be is left. Returns what was written.

    Raises `InputError` before writing anything when one of its files is there with another content.
    """
    source = folder() / name
    files = {path.name: path for path in sorted(source.iterdir()) if path.is_file()}
    files.setdefault(Workspace(directory).rules.name, complete_rules())
    there = [name for name in files if (directory / name).exists()]
    others = [name for name in there if not _is_same(directory / name, files[name])]
    if others:
        raise InputError(
            f"the folder has {', '.join(others)} already",
            file=directory,
            fix="name an empty or new folder: nothing is overwritten",
        )
    missing = [name for name in files if name not in there]
    for name in missing:
        write_bytes(directory / name, read_bytes(files[name]))
    return [directory / name for name in missing]


def _is_same(path: Path, source: Path) -> bool:
    return path.is_file() and read_bytes(path) == read_bytes(source)


def empty_rules() -> dict[str, dict[str, Any]]:
    """The rules with their defaults, to fill in."""
    return {
        "loop_config": {"max_versions": 10},
        "dataset_config": {"dataset_id": None},
        "training_config": {},
        "eval_config": {"primary_metric": None, "metrics": [], "repeats": "auto"},
    }


def is_empty_rules(path: Path) -> bool:
    """Whether rules are as they were written to be filled in, now or before there were repeats."""
    before = {
        **empty_rules(),
        "loop_config": {"max_versions": 10, "branch_from": "latest"},
        "eval_config": {"primary_metric": None, "metrics": []},
    }
    return try_read_json(path) in (empty_rules(), before)


def write_empty(directory: Path) -> list[Path]:
    """Rules with the defaults and an instruction to fill in; what is there stays as it is."""
    ws = Workspace(directory)
    written = []
    if not ws.rules.exists():
        write_text(ws.rules, json.dumps(empty_rules(), indent=2) + "\n")
        written.append(ws.rules)
    if not ws.instruction.exists():
        write_text(ws.instruction, instruction.TEMPLATE)
        written.append(ws.instruction)
    return written
