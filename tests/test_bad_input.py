"""What users do to a workspace by mistake: one clear error with a way out, nothing lost, and the loop goes on.

The commonest mistakes stand with the parts that they are about (rules, scripts, loop, storage); here are the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from progtrain.engine.cli.main import progtrain
from progtrain.engine.clock import now
from progtrain.engine.control import decisions
from progtrain.engine.control.launch import Options
from progtrain.engine.errors import InputError, ProgtrainError
from progtrain.engine.files import LineReader
from progtrain.engine.loop import runner
from progtrain.engine.rules import rules
from progtrain.engine.schema import Decision
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace

EditRules = Callable[..., None]


def run(ws: Workspace, **options: Any) -> int:
    return runner.run(ws, Options.model_validate(options))


def told(ws: Workspace, kind: str) -> list[dict[str, Any]]:
    return [e for e in LineReader(ws.journal).read() if e["event"] == kind]


def failure(ws: Workspace) -> dict[str, Any]:
    return told(ws, "loop_failed")[-1]


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def ends_with(ws: Workspace, code: str) -> None:
    """The baseline does `code` at the end of its training."""
    replace(ws.baseline_script, "    main()\n", f"    main()\n    {code}\n")


def command(ws: Workspace, *arguments: str) -> tuple[Result, ProgtrainError]:
    """A command that is refused, in this process."""
    result = CliRunner().invoke(progtrain, ["-C", str(ws.root), *arguments])
    assert isinstance(result.exception, ProgtrainError), result
    return result, result.exception


# rules


def test_rules_that_are_no_file_do_not_pass_for_no_rules(plain: Workspace) -> None:
    plain.rules.unlink()
    plain.rules.mkdir()
    with pytest.raises(InputError, match="not a file"):
        rules.load(plain)
    plain.rules.rmdir()
    plain.rules.symlink_to("gone.json")
    with pytest.raises(InputError, match="not a file"):
        rules.load(plain)


def test_rules_nested_without_end_are_refused(plain: Workspace) -> None:
    plain.rules.write_text("[" * 100_000)
    assert run(plain, autopilot=True) == 2
    assert "nested too deeply" in failure(plain)["reason"]


def test_a_text_for_a_setting_that_is_a_number_is_refused(plain: Workspace, edit_rules: EditRules) -> None:
    """Before anything is trained with it."""
    before = plain.baseline_script.read_text()
    edit_rules(plain, training_config={"batch_size": "big"})
    assert run(plain, autopilot=True) == 2
    assert "BATCH_SIZE is a number" in failure(plain)["reason"]
    assert failure(plain)["file"].endswith("user_defined_rules.json") and failure(plain)["fix"]
    assert plain.baseline_script.read_text() == before and not plain.versions()


# interpreter


def test_an_interpreter_that_is_not_there_is_refused_before_anything_is_run(plain: Workspace) -> None:
    _, error = command(plain, "run", "--yes", "--python", "/nowhere/python")
    assert error.exit_code == 2 and error.file == "/nowhere/python" and error.fix
    assert run(plain, autopilot=True, python="/nowhere/python") == 2
    assert "--python" in failure(plain)["fix"]
    assert not plain.versions()


# training


def test_a_failed_loop_in_autopilot_goes_on_once_the_script_is_fixed(plain: Workspace) -> None:
    """Starting again is the other attempt that the message asks for."""
    ends_with(plain, "raise ValueError('not yet')")
    assert run(plain, autopilot=True, until="train") == 1
    assert run(plain, autopilot=True, until="train") == 1
    assert [e["attempt"] for e in told(plain, "attempt_failed")] == [1, 2]
    replace(plain.script("v001"), "raise ValueError('not yet')", "pass")
    assert run(plain, autopilot=True, until="train") == 0
    report = plain.version("v001").retry_report.read_text()
    assert report.count("status: FAIL") == 2 and report.count("status: PASS") == 1


def test_what_a_script_prints_may_be_binary(plain: Workspace) -> None:
    ends_with(plain, "__import__('sys').stdout.buffer.write(bytes(range(256)) * 50); raise ValueError('a\\x00b')")
    assert run(plain, autopilot=True) == 1
    assert "ValueError" in failure(plain)["reason"]


@pytest.mark.parametrize("content", ["b''", "bytes(range(256))", "f.read_bytes()[:-9]"])
def test_a_metrics_file_that_is_empty_or_torn_is_lived_with(plain: Workspace, content: str) -> None:
    """The scores are there all the same."""
    ends_with(plain, f"f = ARTIFACTS / 'logs' / 'version_0' / 'metrics.csv'; f.write_bytes({content})")
    assert run(plain, autopilot=True, max_versions=1) == 0
    assert any("metrics.csv" in e["text"] for e in told(plain, "warning"))


def test_a_metrics_file_that_is_gone_after_the_training_is_lived_with(plain: Workspace) -> None:
    assert run(plain, autopilot=True, until="evaluate") == 0
    (plain.version("v001").logs / "version_0" / "metrics.csv").unlink()
    assert run(plain, autopilot=True, max_versions=1) == 0
    assert any("no training log" in e["text"] for e in told(plain, "warning"))


def test_a_script_that_is_edited_after_its_training_is_told(plain: Workspace, edit_rules: EditRules) -> None:
    """It is not trained again."""
    edit_rules(plain, loop_config={"max_versions": 1})
    assert run(plain, autopilot=True) == 0
    replace(plain.script("v001"), "EPOCHS = 6", "EPOCHS = 7")
    edit_rules(plain, loop_config={"max_versions": 2})
    run(plain, autopilot=True, until="check")
    assert any("02_train_v001.py was changed after its training" in e["text"] for e in told(plain, "warning"))
    assert len(told(plain, "attempt_failed")) == 0


# the review


def test_a_base_that_is_not_there_leaves_the_question_open(waiting: Workspace) -> None:
    review = WorkspaceView(waiting.root).snapshot().review
    assert review is not None
    other = next(card.id for card in review.candidates if card.id != review.chosen)
    _, error = command(waiting, "review", "choose", other, "--base", "v009")
    assert "v009" in error.reason and error.fix
    wrong = {"question": review.question, "answer": "choose", "candidate": other, "base": "v009", "at": now()}
    decisions.decide(waiting, Decision.model_validate(wrong))
    assert run(waiting) == 2
    assert "v009" in failure(waiting)["reason"]
    assert run(waiting) == 3
    asked = WorkspaceView(waiting.root).snapshot().review
    assert asked is not None and asked.version == "v001"


def test_a_draft_that_was_deleted_can_be_made_again(waiting: Workspace) -> None:
    waiting.drafts("v001").action.unlink()
    _, error = command(waiting, "review", "accept")
    assert "redraft" in (error.fix or "")


def test_a_refused_edit_says_once_what_fixes_it(waiting: Workspace) -> None:
    path = waiting.drafts("v001").action
    path.write_text("# Selected Action\n\nnothing here\n")
    _, error = command(waiting, "review", "accept")
    assert str(error).count("fix:") == 1


# scores


def test_a_score_of_the_wrong_kind_is_an_error_with_its_key(plain: Workspace) -> None:
    replace(plain.eval_script, "json.dumps(score)", "json.dumps([score])")
    assert run(plain, autopilot=True) == 2
    assert failure(plain)["file"].endswith("eval_score.json")
    assert json.loads(plain.version("v001").spec.read_text())["checkpoint"]["best_sha256"]


@pytest.mark.parametrize("name", ["../../../evil", "a/b", "", ".hidden", "stop"])
def test_a_question_that_leads_elsewhere_is_refused(waiting: Workspace, name: str) -> None:
    """A workspace from somebody else: its files may say anything."""
    path = waiting.drafts("v001").review
    path.write_text(json.dumps({**json.loads(path.read_text()), "question": name}))
    before = sorted(waiting.root.parent.rglob("*"))
    _, error = command(waiting, "review", "accept")
    assert "review.json, key question" in str(error) and error.fix and "progtrain run" in error.fix
    assert sorted(waiting.root.parent.rglob("*")) == before
    snapshot = WorkspaceView(waiting.root).snapshot()
    assert (snapshot.status, snapshot.review) == ("waiting", None)
    with pytest.raises(ValueError, match="letters, digits"):
        Decision.model_validate({"question": name, "answer": "accept", "at": now()})
    assert run(waiting) == 3 and WorkspaceView(waiting.root).snapshot().review is not None


def test_a_review_of_a_version_that_leads_elsewhere_is_refused(waiting: Workspace) -> None:
    path = waiting.drafts("v001").review
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": "../../v001"}))
    assert "key version" in str(command(waiting, "review", "accept")[1])
