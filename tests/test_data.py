"""`stats.json` has no fixed schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from progtrain.engine import prepared_data
from progtrain.engine.errors import InputError
from progtrain.engine.workspace import Workspace


@pytest.mark.parametrize(
    "stats",
    [
        {"train": 80, "valid": 20},
        {"train_samples": 80, "val_samples": 20},
        {"num_train": 80, "num_valid": 20},
        {"splits": {"train": {"num_samples": 80}, "validation": {"count": 20}}},
        {"counts": {"train": 80, "val": 20}},
        {"train": {"n": 80, "files": ["a"]}, "dev": {"rows": 20}},
    ],
)
def test_counts_under_the_usual_names(ws: Workspace, stats: dict[str, Any]) -> None:
    path = ws.stats("d")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(stats))
    assert prepared_data.counts_in(prepared_data.read_stats(path)) == {"train": 80, "valid": 20}


def test_missing_stats_tell_nothing_and_broken_ones_are_named(ws: Workspace) -> None:
    assert prepared_data.read_stats(ws.stats("d")) == {}
    ws.stats("d").parent.mkdir(parents=True)
    ws.stats("d").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        prepared_data.read_stats(ws.stats("d"))


def test_fingerprint_changes_with_the_validation_data(plain: Workspace) -> None:
    before = prepared_data.fingerprint(plain, "toy_v1")
    assert prepared_data.fingerprint(plain, "toy_v1") == before
    with (plain.split("toy_v1", "valid") / "data.csv").open("a") as file:
        file.write("x,0,0,1\n")
    assert prepared_data.fingerprint(plain, "toy_v1") != before
