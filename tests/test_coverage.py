"""Every item of the specification has a test that names it, and the table of them is the present one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location("coverage_table", Path(__file__).with_name("coverage_table.py"))
assert _SPEC is not None and _SPEC.loader is not None
coverage_table = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(coverage_table)


def test_every_item_has_a_test() -> None:
    tests = coverage_table.tests_by_item()
    assert [item for item in coverage_table.ITEMS if item not in tests] == []


def test_the_table_is_the_present_one() -> None:
    assert coverage_table.TABLE.read_text(encoding="utf-8") == coverage_table.table()


def test_the_modules_are_there() -> None:
    root = coverage_table.ROOT
    named = {name for _, modules in coverage_table.ITEMS.values() for name in modules.split(", ")}
    assert [name for name in sorted(named) if not (root / name).exists()] == []
