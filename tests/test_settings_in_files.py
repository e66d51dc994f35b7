"""Whole loops of a script whose settings stand in a config file and a module: real children, standard library alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.drafting import history
from progtrain.engine.drafting.preview import preview
from progtrain.engine.files import LineReader, read_json, sha256, write_text
from progtrain.engine.loop import runner
from progtrain.engine.rules import rules
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace

CONFIG = '{\n\t"optim": {"learning_rate": 0.02, "weight_decay": 0.0},\n\t"epochs": 6\n}\n'
SETTINGS = "LEARNING_RATE = 0.02\nEPOCHS = 6\nBATCH_SIZE = 16\nWEIGHT_DECAY = 0.0\n"
READS = 'CFG = json.loads(Path("config.json").read_text())\nLEARNING_RATE = CFG["optim"]["learning_rate"]\n'
READS += 'WEIGHT_DECAY, EPOCHS, BATCH_SIZE = CFG["optim"]["weight_decay"], CFG["epochs"], 16\n'


def run(ws: Workspace, **options: Any) -> int:
    return runner.run(ws, Options.model_validate(options))


def with_config(plain: Workspace, reads: str = READS) -> Workspace:
    source = plain.baseline_script.read_text()
    assert SETTINGS in source
    plain.baseline_script.write_text(source.replace(SETTINGS, reads))
    write_text(plain.root / "config.json", CONFIG)
    set_rules(plain, training_config={})
    plain.instruction.write_text("Only the learning rate may change.\n")
    return plain


def set_rules(ws: Workspace, **more: Any) -> None:
    ws.rules.write_text(json.dumps({**json.loads(ws.rules.read_text()), **more}))


def trained_rate(ws: Workspace, version: str) -> float:
    text = (ws.version(version).logs / "version_0" / "hparams.yaml").read_text()
    return float(text.splitlines()[0].removeprefix("learning_rate: "))


def test_a_loop_changes_a_config_file_version_by_version(plain: Workspace) -> None:
    ws = with_config(plain)
    assert run(ws, autopilot=True, max_versions=3) == 0
    made = history.authored(ws)
    assert trained_rate(ws, "v001") == 0.02
    for version in ("v002", "v003"):
        assert trained_rate(ws, version) == made[version]["operation"]["to"] != made[version]["operation"]["from"]
        copy = ws.root / f"config_{version}.json"
        assert f'Path("{copy.name}")' in ws.script(version).read_text()
        assert copy.read_text().replace(str(trained_rate(ws, version)), "0.02") == CONFIG
        assert read_json(ws.version(version).spec)["files"] == {copy.name: sha256(copy)}
    assert (ws.root / "config.json").read_text() == CONFIG


def test_a_copy_that_was_edited_by_hand_is_noticed(plain: Workspace) -> None:
    ws = with_config(plain)
    assert run(ws, autopilot=True, until="analyze") == 0
    assert not [e for e in LineReader(ws.journal).read() if "was changed after" in e.get("text", "")]
    write_text(ws.root / "config.json", CONFIG.replace("6", "7"))
    run(ws)
    warned = [e["text"] for e in LineReader(ws.journal).read() if e["event"] == "warning"]
    assert any(text.startswith("config.json was changed after its training: v001's") for text in warned)


def test_the_review_shows_what_changes_in_each_file(plain: Workspace) -> None:
    ws = with_config(plain)
    assert run(ws, until="analyze") == 0
    run(ws)
    asked = WorkspaceView(ws.root).snapshot().review
    assert asked is not None
    assert "--- config.json\n+++ config_v002.json\n" in asked.diff
    assert '-\t"optim": {"learning_rate": 0.02,' in asked.diff
    assert preview(ws, "v001", ws.drafts("v001").action.read_text()).diff == asked.diff
    assert "config.json, line 2: `optim.learning_rate`" in ws.drafts("v001").action.read_text()
    refused = preview(ws, "v001", "```yaml\noperation: set\nsetting: config.json:epochs\nto: 9\n```\n")
    assert "allow changes to learning_rate only" in refused.problems[0]


def test_a_file_named_in_training_args_is_replaced_in_the_run(plain: Workspace) -> None:
    # the evaluator imports a script that offers load_split without arguments
    named = "import sys\nNAMED = sys.argv[-1] if '--config' in sys.argv else 'config' + '.json'\n"
    ws = with_config(plain, named + READS.replace('"config.json"', "NAMED"))
    set_rules(ws, training_args=["--config", "config.json"])
    assert run(ws, autopilot=True, max_versions=2) == 0
    assert trained_rate(ws, "v002") == history.authored(ws)["v002"]["operation"]["to"]
    assert (ws.root / "config_v002.json").is_file()


def test_a_loop_changes_a_module_in_a_copy(plain: Workspace) -> None:
    ws = with_config(plain, "from own import settings\n" + SETTINGS.replace("0.02", "settings.LEARNING_RATE"))
    for name, text in {"__init__.py": "", "settings.py": "LEARNING_RATE = 0.02  # tuned\n"}.items():
        write_text(ws.root / "own" / name, text)
    assert run(ws, autopilot=True, max_versions=3) == 0
    rates = [trained_rate(ws, version) for version in ("v001", "v002", "v003")]
    assert len(set(rates)) == 3
    for version, rate in zip(("v002", "v003"), rates[1:], strict=True):
        copy = ws.module_copies(version) / "own" / "settings.py"
        assert copy.read_text() == f"LEARNING_RATE = {rate}  # tuned\n"
    assert (ws.root / "own" / "settings.py").read_text() == "LEARNING_RATE = 0.02  # tuned\n"


def test_rules_set_what_stands_in_a_config_file_and_lock_it(plain: Workspace) -> None:
    ws = with_config(plain)
    ws.instruction.unlink()
    set_rules(ws, training_config={"learning_rate": 0.05, "epochs": 4})
    assert run(ws, autopilot=True, max_versions=2) == 0
    assert (ws.root / "config.json").read_text() == CONFIG.replace("0.02", "0.05").replace("6", "4")
    assert trained_rate(ws, "v001") == trained_rate(ws, "v002") == 0.05
    assert rules.load(ws).locked["epochs"] == 4


def test_check_tells_of_config_files(plain: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    from progtrain.engine.cli.main import main

    ws = with_config(plain)
    main(["-C", str(ws.root), "check", "--no-probe"])
    assert "config.json: 3 values that can be set" in capsys.readouterr().out
    Path(ws.root / "config.json").write_text('{"a": 1,\n')
    assert main(["-C", str(ws.root), "check", "--no-probe"]) == 2
    assert "config.json, line 2: not valid JSON" in capsys.readouterr().out
