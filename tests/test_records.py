"""What the records say is what happened: what a version was trained and scored with, and what old outputs are not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.files import LineReader, sha256_text
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace


def run(ws: Workspace, **options: Any) -> int:
    return runner.run(ws, Options.model_validate({"autopilot": True, **options}))


def warnings(ws: Workspace) -> list[str]:
    return [str(e["text"]) for e in LineReader(ws.journal).read() if e["event"] == "warning"]


def while_training(ws: Workspace, version: str, code: str) -> None:
    """What somebody does in the workspace while this version trains: its script does it, in its first epoch."""
    source = ws.baseline_script.read_text()
    begin = "    random.seed(SEED)\n"
    assert begin in source
    lines = "".join(f"        {line}\n" for line in code.splitlines())
    ws.baseline_script.write_text(source.replace(begin, f"{begin}    if VERSION == {version!r}:\n{lines}"))


def spec(ws: Workspace, version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ws.version(version).spec.read_text())
    return found


EDIT = """\
script = Path("02_train_v001.py")
script.write_text(script.read_text().replace("LEARNING_RATE = 0.02", "LEARNING_RATE = 0.5"))
"""


def test_a_version_is_told_by_the_script_that_it_was_started_with(plain: Workspace) -> None:
    while_training(plain, "v001", EDIT)
    assert run(plain, until="initialize") == 0
    before = plain.script("v001").read_text()
    assert run(plain, until="train") == 0
    made = spec(plain, "v001")
    assert made["settings"]["learning_rate"] == 0.02
    assert made["script_sha256"] == sha256_text(before)
    assert made["changed_while_trained"] == ["02_train_v001.py"]
    mark = json.loads(plain.mark("v001", "train").read_text())
    assert mark["inputs"]["script"] == mark["inputs"]["file 02_train_v001.py"] == sha256_text(before)
    assert "while v001 trained, 02_train_v001.py was changed: v001 was started with what was there before" in warnings(
        plain
    )
    assert run(plain, until="evaluate") == 0
    assert any("02_train_v001.py was changed after its training" in text for text in warnings(plain))


def test_what_was_taken_before_outlives_the_runner_that_took_it(plain: Workspace, go_on: Path) -> None:
    assert run(plain, until="initialize") == 0
    script = plain.script("v001")
    before = script.read_text()
    script.write_text(before.replace("def main():\n", "def main():\n    import sys\n    sys.exit(3)\n"))
    # a runner that ends between the start of the training and its end
    code = (
        "import os, sys, threading, time\n"
        "from pathlib import Path\n"
        "from progtrain.engine.control.launch import Options\n"
        "from progtrain.engine.loop import runner\n"
        "from progtrain.engine.workspace import Workspace\n"
        "ws = Workspace(Path(sys.argv[1]))\n"
        "def end():\n"
        "    while not list(ws.version('v001').path.glob('logs/*/metrics.csv')):\n"
        "        time.sleep(0.01)\n"
        "    os._exit(9)\n"
        "threading.Thread(target=end, daemon=True).start()\n"
        "runner.run(ws, Options(autopilot=True, until='train'))\n"
    )
    started = before.replace("def main():\n", "def main():\n    # as it was started\n")
    script.write_text(started)
    assert subprocess.run([sys.executable, "-c", code, str(plain.root)]).returncode == 9
    script.write_text(started.replace("LEARNING_RATE = 0.02", "LEARNING_RATE = 0.5"))
    go_on.touch()
    assert run(plain, until="train") == 0
    assert any("attached to v001-train-1" in str(e.get("text")) for e in LineReader(plain.journal).read())
    made = spec(plain, "v001")
    assert (made["settings"]["learning_rate"], made["script_sha256"]) == (0.02, sha256_text(started))
    assert made["changed_while_trained"] == ["02_train_v001.py"]


MEDDLE = """\
data = Path("dataset/prepdata/toy_v1")
scored = Path("Models") / "Artifacts" / f"v{1:03d}" / "eval_score.json"
for path in (Path("03_eval.py"), data / "valid" / "data.csv", data / "train" / "data.csv", scored):
    was = path.read_text()
    path.write_text(was.replace(",1\\n", ",0\\n", 1) + " ")
"""


def test_what_a_training_changes_is_told_by_what_it_means(plain: Workspace) -> None:
    while_training(plain, "v002", MEDDLE)
    assert run(plain, until="evaluate") == 0
    plain.eval_script.write_text(plain.eval_script.read_text() + "#")
    run(plain, max_versions=2)
    data = "dataset/prepdata/toy_v1"
    assert [text for text in warnings(plain) if text.startswith("while v002 trained")] == [
        f"while v002 trained, {data}/train/data.csv was changed: v002 was started with what was there before",
        f"while v002 trained, 03_eval.py, {data}/valid/data.csv was changed: versions that were evaluated before and "
        "after don't compare; v002 is evaluated as it is now",
        "while v002 trained, Models/Artifacts/v001/eval_score.json was changed: the loop alone writes there: what does "
        "not fit its records any more is not ranked",
    ]


def test_a_quiet_loop_warns_of_nothing_and_forgets_what_it_took(finished: Workspace) -> None:
    assert not [text for text in warnings(finished) if "while v00" in text]
    assert not list(finished.watched("x").parent.iterdir())


SILENT = "import sys\nif '--version' in sys.argv:\n    sys.exit(0)\n"


def test_an_evaluator_that_writes_nothing_has_failed_whatever_lies_there(plain: Workspace) -> None:
    assert run(plain, until="evaluate") == 0
    good = plain.eval_script.read_text()
    before = plain.version("v001").eval_score.read_text()
    plain.eval_script.write_text(SILENT + good)
    plain.mark("v001", "evaluate").unlink()
    plain.version("v001").protocol.unlink()
    assert run(plain, until="evaluate") == 1
    failed = [e for e in LineReader(plain.journal).read() if e["event"] == "loop_failed"][-1]
    assert failed["reason"] == "the evaluation ended without an error and did not write it"
    assert failed["file"].endswith("eval_score.json")
    assert (plain.set_aside("v001") / "eval_score.json").read_text() == before
    plain.eval_script.write_text(good)
    assert run(plain, until="evaluate") == 0
    assert plain.version("v001").per_sample.is_file()


def test_a_script_that_changes_while_it_is_scored_is_scored_again(plain: Workspace) -> None:
    good = plain.eval_script.read_text()
    touch = 'from pathlib import Path\nPath("02_train_v001.py").open("a").write("\\n# other\\n")\n'
    plain.eval_script.write_text(good.replace('if __name__ == "__main__":\n', f'{touch}if __name__ == "__main__":\n'))
    assert run(plain, until="evaluate") == 1
    failed = [e for e in LineReader(plain.journal).read() if e["event"] == "loop_failed"][-1]
    assert failed["reason"].startswith("02_train_v001.py was changed while v001 was evaluated")
    plain.eval_script.write_text(good)
    assert run(plain, until="evaluate") == 0


def test_fewer_samples_than_there_are_to_validate_on_are_told(plain: Workspace) -> None:
    source = plain.baseline_script.read_text()
    plain.baseline_script.write_text(source.replace("csv.DictReader(file)]", "csv.DictReader(file)][:100]"))
    assert run(plain, until="evaluate") == 0
    assert "v001 was scored on 100 samples, dataset/prepdata/toy_v1/stats.json has 120 to validate on" in warnings(
        plain
    )


def lock(ws: Workspace, **settings: Any) -> None:
    told = json.loads(ws.rules.read_text())
    ws.rules.write_text(json.dumps({**told, "training_config": {**told["training_config"], **settings}}))


def meanwhile(ws: Workspace, step: str, version: str, act: Callable[[], Any]) -> int:
    """Runs two versions in autopilot; `act` is what somebody does when this step of this version has just ended."""

    def listen(event: dict[str, Any]) -> None:
        if (event["event"], event.get("step"), event.get("version")) == ("step_done", step, version):
            act()

    return runner.run(ws, Options(autopilot=True, max_versions=2), listener=listen)


#: all that the first draft would change, as the baseline has it
ALL = {"learning_rate": 0.02, "epochs": 6, "batch_size": 16}


def settings(ws: Workspace, version: str) -> dict[str, Any]:
    told = spec(ws, version)["settings"]
    return {name: told[name] for name in ALL}


def test_rules_that_are_changed_while_a_version_trains_hold_for_the_next(plain: Workspace) -> None:
    code = 'path = Path("user_defined_rules.json")\n'
    code += f"path.write_text(path.read_text().replace('\"batch_size\": 16', '{json.dumps(ALL)[1:-1]}'))\n"
    while_training(plain, "v001", code)
    assert run(plain, max_versions=2) == 0
    assert settings(plain, "v002") == ALL
    told = [text for text in warnings(plain) if "user_defined_rules.json was changed" in text]
    assert told == [
        "while v001 trained, user_defined_rules.json was changed: v001 was started with what was there before"
    ]


@pytest.mark.parametrize("step", [pytest.param("analyze", marks=pytest.mark.slow), "extract"])
def test_an_action_that_new_rules_forbid_is_not_carried_out(plain: Workspace, step: str) -> None:
    assert meanwhile(plain, step, "v001", lambda: lock(plain, **ALL)) == 0
    assert settings(plain, "v002") == ALL
    notes = [str(e.get("text")) for e in LineReader(plain.journal).read() if e["event"] == "note"]
    assert "rules or instruction were changed: they hold from here on" in notes
    assert "v001: rules or instruction changed since the draft: drafted anew" in notes


def test_an_instruction_is_read_anew_too(plain: Workspace) -> None:
    text = "Never change the learning rate, the epochs or the batch size.\n"
    assert meanwhile(plain, "extract", "v001", lambda: plain.instruction.write_text(text)) == 0
    assert settings(plain, "v002") == ALL


def test_broken_rules_end_the_loop_with_their_reason(plain: Workspace) -> None:
    assert meanwhile(plain, "train", "v001", lambda: plain.rules.write_text("{")) == 2
    failed = [e for e in LineReader(plain.journal).read() if e["event"] == "loop_failed"][-1]
    assert failed["reason"].startswith("not valid JSON")
    assert failed["file"].endswith("user_defined_rules.json")
