"""Checkpoints of runs that lost go, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from progtrain.engine.cli.main import progtrain
from progtrain.engine.control import lock
from progtrain.engine.errors import Busy, ProgtrainError
from progtrain.engine.experiment import prune
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.workspace import Workspace
from tests.cli.test_json import check
from tests.experiment.conftest import carried_out, phases
from tests.experiment.test_importing import summary


def weights(folder: ExperimentFolder, run: str) -> Path:
    path = folder.run(run).artifacts / "best.ckpt"
    path.write_bytes(b"x" * 3000)
    return path


@pytest.fixture
def ended(lab: Workspace, planned: Callable[..., ExperimentFolder], faults: Callable[..., None]) -> ExperimentFolder:
    """Four points, of which one failed, and a control; the score is 1 / rank + rate."""
    folder = planned(variables={"rank": [1, 2, 3, 8]})
    faults({8: {"exit": 7}})
    carried_out(lab)
    for run in ("rank1", "rank2", "rank3", "rank8", "base"):
        weights(folder, run)
    assert phases(folder) == {"rank1": "done", "rank2": "done", "rank3": "done", "rank8": "failed", "base": "done"}
    return folder


def command(ws: Workspace, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(progtrain, ("-C", str(ws.root), "experiment", *words), standalone_mode=False)
    if isinstance(done.exception, ProgtrainError):
        return done.exception.exit_code, str(done.exception)
    assert done.exception is None, done.output
    return done.exit_code, done.output


def left(folder: ExperimentFolder) -> list[str]:
    return sorted(path.parents[1].name for path in folder.path.glob("*/artifacts/best.ckpt"))


def test_what_lost_goes_and_the_best_the_control_and_what_is_not_done_stay(
    lab: Workspace, ended: ExperimentFolder
) -> None:
    before = {path for path in ended.path.rglob("*") if path.suffix != ".ckpt" and path.is_file()}
    code, text = command(lab, "prune", "cap", "--dry-run")
    assert code == 0 and "5.9 KiB would be free; by accuracy (caps) the best stay: rank1" in text
    assert left(ended) == ["base", "rank1", "rank2", "rank3", "rank8"]
    code, text = command(lab, "prune", "cap")
    assert code == 0 and "5.9 KiB are free" in text
    assert left(ended) == ["base", "rank1", "rank8"]
    assert before <= {path for path in ended.path.rglob("*") if path.is_file()}
    assert phases(ended)["rank2"] == "done"
    assert command(lab, "prune", "cap")[1].startswith("there is nothing to remove")


def test_more_than_the_best_can_be_kept(lab: Workspace, ended: ExperimentFolder) -> None:
    told = json.loads(command(lab, "prune", "cap", "--keep", "2", "--json")[1])
    check(told)
    assert told["kept"] == ["rank1", "rank2"] and list(told["files"]) == ["rank3"] and told["bytes"] == 3000
    code, text = command(lab, "prune", "cap", "--keep", "none")
    assert code == 2 and "'none' is no number of points" in text


def test_what_a_link_leads_to_is_never_removed(lab: Workspace, ended: ExperimentFolder, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious.ckpt").write_text("x")
    (ended.run("rank3").artifacts / "linked").symlink_to(mine)
    (ended.run("rank3").artifacts / "other.ckpt").symlink_to(mine / "precious.ckpt")
    command(lab, "prune", "cap")
    assert (mine / "precious.ckpt").is_file() and not (ended.run("rank3").artifacts / "best.ckpt").exists()


def test_what_another_run_evaluates_stays(lab: Workspace, ended: ExperimentFolder) -> None:
    content: dict[str, Any] = yaml.safe_load(ended.plan.read_text())
    of_loser = "experiments/cap/rank3/artifacts/best.ckpt"
    content["runs"]["add"].append({"name": "old", "type": "eval-only", "checkpoint": of_loser})
    ended.plan.write_text(yaml.safe_dump(content))
    assert list(prune.planned(lab, ended).files) == ["rank2"]


def test_not_while_a_runner_is_at_work(lab: Workspace, ended: ExperimentFolder) -> None:
    found = prune.planned(lab, ended)
    with lock.hold_file(ended.lock, Busy("it is")), pytest.raises(Busy, match="another runner is at work"):
        prune.prune(ended, found)


def test_nothing_is_pruned_before_something_was_measured(
    lab: Workspace, planned: Callable[..., ExperimentFolder]
) -> None:
    planned()
    code, text = command(lab, "prune", "cap")
    assert code == 2 and "nothing tells which runs are the best" in text


def test_the_command_imports_a_plan(ws: Workspace) -> None:
    file = ws.root / "experiment_summary.yaml"
    file.write_text(yaml.safe_dump(summary()))
    code, text = command(ws, "import", str(file), "--dry-run")
    assert code == 0 and "nothing is written" in text and not ws.experiments.exists()
    check(json.loads(command(ws, "import", str(file), "--dry-run", "--json")[1]))
    code, text = command(ws, "import", str(file))
    assert code == 0 and "note: controls.dataset_type stands in the config itself" in text
    assert (ws.experiments / "cap_rank" / "experiment.yaml").is_file()
