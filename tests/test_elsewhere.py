"""Versions that were made by hand or by another tool: taken over where they are whole, never trained again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.files import LineReader
from progtrain.engine.loop import runner
from progtrain.engine.loop.near_misses import near_misses
from progtrain.engine.loop.plan import plan
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace

ACTION = "# Action\n\n```yaml\noperation: set\nsetting: learning_rate\nto: 0.07\n```\n"


def run(ws: Workspace, **options: Any) -> int:
    return runner.run(ws, Options.model_validate(options))


def events(ws: Workspace, kind: str) -> list[dict[str, Any]]:
    return [e for e in LineReader(ws.journal).read() if e["event"] == kind]


def notes(ws: Workspace) -> str:
    return "\n".join(e["text"] for e in events(ws, "note"))


@pytest.fixture
def brought(plain: Workspace, edit_rules: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """v001 as another tool leaves it; a file that counts trainings is given."""
    edit_rules(plain, loop_config={"max_versions": 1})
    assert run(plain, autopilot=True) == 0
    folder = plain.version("v001")
    shutil.rmtree(plain.own)
    shutil.rmtree(folder.evaluation)
    folder.spec.write_text(json.dumps({"version": "v001", "checkpoint": "best.ckpt"}))
    score = json.loads(folder.eval_score.read_text())
    score["notes"] = "by hand"
    score["metrics"][0]["ci95"] = [0.7, 0.9]
    folder.eval_score.write_text(json.dumps(score))
    folder.action.write_text(ACTION)
    count = tmp_path / "count"
    monkeypatch.setenv("COUNT_FILE", str(count))
    return count


def test_the_last_version_finished_elsewhere_is_only_reported(plain: Workspace, brought: Path) -> None:
    before = {p: p.read_bytes() for p in plain.version("v001").path.rglob("*") if p.is_file()}
    planned = plan(plain, Options())
    assert [item.step for item in planned] == ["report"]
    assert "taken over as it is: best.ckpt and eval_score.json in Models/Artifacts/v001/" in planned[0].reasons[-1]
    assert run(plain, until="check") == 0
    assert {p: p.read_bytes() for p in before} == before
    assert run(plain) == 0
    assert not brought.exists()
    assert [e["step"] for e in events(plain, "step_done")] == ["check", "check", "report"]
    assert "not trained again: best.ckpt and eval_score.json in Models/Artifacts/v001/" in notes(plain)


def test_the_next_version_is_made_from_an_action_written_elsewhere(
    plain: Workspace, brought: Path, edit_rules: Callable[..., None]
) -> None:
    edit_rules(plain, loop_config={"max_versions": 3})
    assert [item.step for item in plan(plain, Options())] == ["author"]
    assert run(plain, until="author") == 0
    assert "LEARNING_RATE = 0.07" in plain.script("v002").read_text()
    assert plain.version("v001").action.read_text() == ACTION
    assert run(plain, until="evaluate") == 0
    assert brought.read_text().split() == ["v002"]


def test_an_action_that_cannot_be_carried_out_is_asked_about_and_kept(
    plain: Workspace, brought: Path, edit_rules: Callable[..., None]
) -> None:
    edit_rules(plain, loop_config={"max_versions": 3})
    action = plain.version("v001").action
    action.write_text("# Action\n\nUse a smaller rate.\n")
    assert [item.step for item in plan(plain, Options())][:2] == ["analyze", "extract"]
    assert run(plain) == 3
    review = WorkspaceView(plain.root).snapshot().review
    assert review is not None
    assert any("action-extract.md cannot be carried out as it stands: no operation in it" in n for n in review.notes)
    assert action.read_text() == "# Action\n\nUse a smaller rate.\n"
    assert run(plain, autopilot=True, until="extract") == 0
    assert "operation:" in action.read_text()
    assert "Use a smaller rate." in (plain.drafts("v001").path / "found" / action.name).read_text()
    assert not brought.exists()


@pytest.mark.parametrize("broken", ["best.ckpt", "eval_score.json", "logs"])
def test_what_is_not_whole_is_trained(plain: Workspace, brought: Path, broken: str) -> None:
    folder = plain.version("v001")
    if broken == "best.ckpt":
        folder.best_checkpoint.write_text("")
        folder.last_checkpoint.unlink(missing_ok=True)
    elif broken == "logs":
        shutil.rmtree(folder.logs)
    else:
        score = json.loads(folder.eval_score.read_text())
        folder.eval_score.write_text(json.dumps({**score, "dataset_id": "another"}))
    assert plan(plain, Options())[0].step == "train"


def test_near_misses_are_named_with_the_way_to_bring_them_in(plain: Workspace) -> None:
    lost = plain.root / "Runs" / "2026-01"
    lost.mkdir(parents=True)
    (lost / "eval_score.json").write_text("{}")
    skill = plain.root / ".claude" / "skills" / "training"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("# Skill\n")
    plain.rules.rename(skill / plain.rules.name)
    assert run(plain, dataset_id="toy_v1", autopilot=True, until="initialize") == 0
    run_text = "Runs/2026-01/ is not read: versions lie in Models/Artifacts/; to use it: cp -r Runs/2026-01 "
    assert f"{run_text}Models/Artifacts/v001, and its training script as 02_train_v001.py" in notes(plain)
    assert "cp .claude/skills/training/user_defined_rules.json ." in notes(plain)


def test_names_that_are_nearly_right_are_told(ws: Workspace) -> None:
    for name in (
        "rules.json",
        "User_Instructions.md",
        "train_baseline.py",
        "02_train_v3.py",
        "dataset/toy_v1/train/x.csv",
        "Models/Artifacts/version_2/spec.json",
        "Models/Artifacts/v001/best_model.pt",
        "runs/of may/metrics.csv",
        "runs/of may/my_train.py",
        "runs/notes/readme.md",
        "02_train_v001.py",
    ):
        (ws.root / name).parent.mkdir(parents=True, exist_ok=True)
        (ws.root / name).write_text("")
    found = [text.partition("to use it: ")[2] for text in near_misses(ws)]
    assert found == [
        "mv 02_train_v3.py 02_train_v003.py",
        "mv User_Instructions.md user_instruction.md",
        "mv rules.json user_defined_rules.json",
        "mv train_baseline.py 02_train_baseline.py",
        "mv dataset/toy_v1 dataset/prepdata/toy_v1",
        "cp -r 'runs/of may' Models/Artifacts/v002 && cp 'runs/of may/my_train.py' 02_train_v002.py",
        "cp Models/Artifacts/v001/best_model.pt Models/Artifacts/v001/best.ckpt",
        "mv Models/Artifacts/version_2 Models/Artifacts/v002",
    ]


def test_a_workspace_as_it_should_be_has_no_near_miss(plain: Workspace) -> None:
    assert near_misses(plain) == []
    assert run(plain, dataset_id="toy_v1", autopilot=True) == 0
    assert near_misses(plain) == []
