"""The files of an experiment: its plan, its results, and what its runs wrote."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.workspace import Workspace
from tests.experiment.conftest import cache, carried_out, lab, planned  # noqa: F401 - fixtures
from tests.hostile import looking

COMMANDS = (
    ("experiment", "status", "cap"),
    ("experiment", "status", "cap", "--json"),
    ("experiment", "list"),
    ("experiment", "list", "--json"),
    ("experiment", "design", "cap"),
    ("experiment", "analyze", "cap"),
    ("experiment", "search", "8"),
    ("leaderboard",),
    ("jobs",),
)


@pytest.fixture
def ended(lab: Workspace, planned: Callable[..., ExperimentFolder]) -> Workspace:  # noqa: F811
    """One of two runs, with results and a report."""
    planned(variables={"rank": [8, 16]}, runs={})
    assert carried_out(lab) == 0
    looking.look(lab, ("experiment", "analyze", "cap"), "as it is")
    return lab


def test_files_of_an_experiment_are_lived_with(ended: Workspace, tmp_path: Path) -> None:
    looking.try_out(ended, tmp_path, range(25), looking.other_bytes, 3, COMMANDS)
    looking.try_out(ended, tmp_path / "others", range(10), looking.no_file, 3, COMMANDS)


@pytest.mark.parametrize("value", [[], 1.5, {"train": 3}, {"cells": []}, {"cells": {"eval": 1}}, {"inputs": 1.5}])
def test_objects_within_objects_may_be_anything(value: object, ended: Workspace) -> None:
    run = ended.experiments / "cap" / "rank8"
    for path in (run / "run.json", run / "marks" / "train.json"):
        whole = path.read_text()
        told = json.loads(whole)
        path.write_text(json.dumps({**told, **value} if isinstance(value, dict) else dict.fromkeys(told, value)))
        for command in (("jobs",), ("experiment", "status", "cap"), ("experiment", "status", "cap", "--json")):
            looking.look(ended, command, f"{path.name} {value}")
        path.write_text(whole)


@pytest.mark.slow
def test_a_thousand_files_of_an_experiment_are_lived_with(ended: Workspace, in_memory: Path) -> None:
    bytes_, files = in_memory / "bytes", in_memory / "others"
    sys.stdout.write(looking.try_out(ended, bytes_, range(1000, 2000), looking.other_bytes, 4, COMMANDS))
    sys.stdout.write(looking.try_out(ended, files, range(100), looking.not_to_be_read, 4, COMMANDS))
