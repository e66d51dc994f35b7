"""The baseline audit: what is found, and what is honestly refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.files import write_json
from progtrain.engine.script.baseline.audit import audit
from progtrain.engine.script.baseline.desk import Desk
from progtrain.engine.workspace import Workspace

GOOD = '''\
"""A script that needs no fix."""
import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

DATASET_ID = "points_v1"
VERSION = "baseline"
ARTIFACTS = f"Models/Artifacts/{VERSION}"
EPOCHS = 2
BATCH_SIZE = 16


def load_split(split):
    return np.load(f"dataset/prepdata/{DATASET_ID}/{split}/points.npz")


class Net(L.LightningModule):
    def __init__(self, width=8):
        super().__init__()
        self.save_hyperparameters()


def main():
    L.Trainer(
        max_epochs=EPOCHS,
        logger=CSVLogger(ARTIFACTS, name="logs", version=0),
        callbacks=[ModelCheckpoint(dirpath=ARTIFACTS, filename="best", monitor="val_loss", save_last=True)],
    ).fit(Net())


if __name__ == "__main__":
    main()
'''


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    for split in ("train", "valid"):
        folder = workspace.split("points_v1", split)
        folder.mkdir(parents=True)
        (folder / "points.npz").write_bytes(b"")
    return workspace


def look(ws: Workspace, source: str, settings: dict[str, Any] | None = None) -> Desk:
    ws.baseline_script.write_text(source)
    return audit(ws, dataset_id="points_v1", settings=settings or {})


def test_a_script_that_has_everything_has_no_findings(ws: Workspace) -> None:
    found = look(ws, GOOD, {"max_epochs": 2})
    assert (found.findings, found.changed) == ((), {})


def test_missing_constants_are_found_and_added(ws: Workspace) -> None:
    source = GOOD.replace('DATASET_ID = "points_v1"\nVERSION = "baseline"\n', "")
    source = source.replace("{VERSION}", "v1").replace("{DATASET_ID}", "points_v1")
    found = look(ws, source)
    assert {finding.id for finding in found.findings} == {"dataset_id", "version", "artifact_path"}
    assert found.changed[ws.baseline_script] == GOOD.replace("{DATASET_ID}", "points_v1")


def test_another_dataset_id_is_corrected(ws: Workspace) -> None:
    found = look(ws, GOOD.replace('"points_v1"', '"points_v0"'))
    assert [finding.problem for finding in found.findings] == [
        'DATASET_ID is "points_v0", the loop runs on "points_v1"'
    ]
    assert found.changed[ws.baseline_script] == GOOD


def test_the_line_of_a_finding_is_that_of_the_users_file(ws: Workspace) -> None:
    source = GOOD.replace('DATASET_ID = "points_v1"\nVERSION = "baseline"\n', "").replace("{VERSION}", "v1")
    found = look(ws, source.replace("{DATASET_ID}", "points_v1"), {"epochs": 5})
    lines = ws.baseline_script.read_text().splitlines()
    by_id = {finding.id: finding.line for finding in found.findings}
    assert lines[(by_id["artifact_path"] or 0) - 1].startswith("ARTIFACTS")
    assert lines[(by_id["settings"] or 0) - 1] == "EPOCHS = 2"


@pytest.mark.parametrize("key", ["epochs", "max_epochs", "MAX-EPOCHS", "num_epochs"])
def test_the_rules_settings_are_set_under_any_usual_name(ws: Workspace, key: str) -> None:
    found = look(ws, GOOD, {key: 7})
    assert found.changed[ws.baseline_script] == GOOD.replace("EPOCHS = 2", "EPOCHS = 7")


def test_a_locked_setting_that_the_script_does_not_have_is_an_error(ws: Workspace) -> None:
    # it names the rules file, the key, the nearest settings and the fix
    write_json(ws.rules, {"training_config": {"epochs": 2, "bach_size": 8}})
    (error,) = look(ws, GOOD, {"bach_size": 8}).errors
    assert error.file == "user_defined_rules.json"
    assert error.line == 4
    assert "training_config.bach_size" in error.problem
    assert "BATCH_SIZE" in error.problem
    assert "correct the key" in (error.fix or "")


def test_a_locked_optimizer_is_compared_with_the_one_in_the_script(ws: Workspace) -> None:
    source = GOOD.replace(
        "\n\ndef main",
        "\n\n    def configure_optimizers(self):\n        return torch.optim.AdamW(self.parameters())\n\n\ndef main",
        1,
    )
    assert look(ws, source, {"optimizer": "adamw"}).findings == ()
    (error,) = look(ws, source, {"optimizer": "sgd"}).errors
    assert "AdamW" in error.problem


def test_a_setting_with_two_values_is_an_error(ws: Workspace) -> None:
    (error,) = look(ws, GOOD.replace("EPOCHS = 2", 'EPOCHS = 2\nCONFIG = {"epochs": 3}'), {"epochs": 2}).errors
    assert error.id == "settings"
    assert "line 11" in error.problem
    assert "line 12" in error.problem


def smoke_test(ws: Workspace, size: int) -> None:
    report = ws.version("baseline").baseline_smoke_report
    report.parent.mkdir(parents=True)
    report.write_text(f"# Smoke test\n\n- **optimal_batch_size**: {size}\n")


def test_the_smoke_tests_batch_size_is_applied(ws: Workspace) -> None:
    smoke_test(ws, 64)
    found = look(ws, GOOD)
    assert found.changed[ws.baseline_script] == GOOD.replace("BATCH_SIZE = 16", "BATCH_SIZE = 64")


def test_the_users_batch_size_wins_over_the_smoke_tests(ws: Workspace) -> None:
    smoke_test(ws, 64)
    found = look(ws, GOOD, {"train_batch_size": 16})
    assert found.changed == {}
    assert found.notes == ["the rules' batch_size 16 wins over the smoke test's optimal_batch_size 64"]
    kept = audit(ws, dataset_id="points_v1", settings={}, locked=frozenset({"batch_size"}))
    assert kept.changed == {}


REFUSED = {
    "no main guard": (
        GOOD.replace("def main():\n    L.Trainer(", "trainer = L.Trainer(")
        .split("\n\nif __name__")[0]
        .replace("\n    ).fit", "\n).fit"),
        "main_guard",
        "importing the script would train",
    ),
    "two values of VERSION": (GOOD.replace("EPOCHS = 2", 'EPOCHS = 2\nVERSION = "v2"'), "version", "several places"),
}

#: what a run tells, no reader of the source has to
LEFT_ALONE = {
    "data from a package": GOOD.replace(
        'np.load(f"dataset/prepdata/{DATASET_ID}/{split}/points.npz")', "load_digits()"
    ),
    "data from elsewhere": GOOD.replace(
        'f"dataset/prepdata/{DATASET_ID}/{split}/points.npz"', '"/mnt/share/other.npz"'
    ),
    "Lightning's command line": GOOD.replace("    L.Trainer(", "    LightningCLI(Net)\n    L.Trainer("),
    "an argument that must be given": GOOD.replace(
        "def main():", "def main():\n    parser.add_argument('--run', required=True)"
    ),
    "callbacks made elsewhere": GOOD.replace(
        '[ModelCheckpoint(dirpath=ARTIFACTS, filename="best", monitor="val_loss", save_last=True)]', "make()"
    ),
    "a logger of a function": GOOD.replace('CSVLogger(ARTIFACTS, name="logs", version=0)', "make_logger()"),
    "no main guard, and no load_split that would be imported": GOOD.replace("load_split", "read")
    .replace("def main():\n    L.Trainer(", "trainer = L.Trainer(")
    .split("\n\nif __name__")[0]
    .replace("\n    ).fit", "\n).fit"),
    "Lightning's word for the best checkpoint": GOOD.replace(").fit(Net())", ").validate(ckpt_path='best')"),
    "a configuration": GOOD.replace("EPOCHS = 2", "EPOCHS = 2\nCONFIG = yaml.safe_load(open('config.yaml'))"),
    "its own log, read back": GOOD + "    pd.read_csv(f'{trainer.logger.log_dir}/metrics.csv')\n",
    "a folder that is here": GOOD.replace("def load_split(split)", "def load_split(split, data_dir='.')"),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_a_run_can_tell_is_not_guessed_from_the_source(ws: Workspace, name: str) -> None:
    found = look(ws, LEFT_ALONE[name])
    assert (found.findings, found.changed) == ((), {})


@pytest.mark.parametrize(
    ("written", "fixed"),
    [
        ('"Models/Artifacts/run1/x.csv"', 'f"Models/Artifacts/{VERSION}/x.csv"'),
        ("'Models/Artifacts/run1'", "f'Models/Artifacts/{VERSION}'"),
        ("r'./Models/Artifacts/run-1.0/a'", "fr'./Models/Artifacts/{VERSION}/a'"),
        ("f'Models/Artifacts/run1/{EPOCHS}'", "f'Models/Artifacts/{VERSION}/{EPOCHS}'"),
        ("Path('Models/Artifacts/baseline')", "Path(f'Models/Artifacts/{VERSION}')"),
    ],
)
def test_literal_folders_for_results_follow_the_version(ws: Workspace, written: str, fixed: str) -> None:
    source = GOOD.replace("EPOCHS = 2", f"EPOCHS = 2\nOUT = {written}")
    assert look(ws, source).changed[ws.baseline_script] == source.replace(written, fixed)


@pytest.mark.parametrize(
    ("call", "fixed"),
    [
        ('ModelCheckpoint("out", monitor="val_acc")', 'ModelCheckpoint("out", monitor="val_acc", mode="max")'),
        ('ModelCheckpoint(monitor="val/f1", mode="min")', 'ModelCheckpoint(monitor="val/f1", mode="max")'),
        ('EarlyStopping("val_auroc", patience=3)', 'EarlyStopping("val_auroc", patience=3, mode="max")'),
        ('ModelCheckpoint(monitor="val_loss", mode="max")', 'ModelCheckpoint(monitor="val_loss", mode="min")'),
    ],
)
def test_a_monitor_in_the_wrong_direction_is_turned(ws: Workspace, call: str, fixed: str) -> None:
    source = GOOD.replace("def main():", f"def main():\n    more = {call}")
    found = look(ws, source)
    assert [finding.id for finding in found.findings] == ["monitor"]
    assert found.changed[ws.baseline_script] == source.replace(call, fixed)


@pytest.mark.parametrize(
    "call",
    [
        'ModelCheckpoint(monitor="val_acc", mode="max")',
        'ModelCheckpoint(monitor="val_loss")',
        'ModelCheckpoint(monitor="my_score")',
        'ModelCheckpoint(monitor="val_acc", mode=MODE)',
        "ModelCheckpoint(monitor=NAME)",
    ],
)
def test_a_monitor_that_is_right_or_unknown_is_left_alone(ws: Workspace, call: str) -> None:
    assert look(ws, GOOD.replace("def main():", f"def main():\n    more = {call}")).findings == ()


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_fixed_safely_is_an_error_with_a_fix(ws: Workspace, name: str) -> None:
    source, id, problem = REFUSED[name]
    errors = [error for error in look(ws, source).errors if error.id == id]
    assert errors, look(ws, source).findings
    assert problem in errors[0].problem
    assert errors[0].fix
    assert errors[0].file == "02_train_baseline.py"


def test_a_baseline_with_a_syntax_error_is_refused_with_its_line(ws: Workspace) -> None:
    with pytest.raises(InputError, match="line 3"):
        look(ws, "x = 1\n\nif x\n")


def test_no_baseline_is_refused(ws: Workspace) -> None:
    with pytest.raises(InputError, match="no baseline script"):
        audit(ws, dataset_id="points_v1", settings={})


def test_paths_in_messages_and_docstrings_are_no_paths(ws: Workspace) -> None:
    source = GOOD.replace('"""A script', '"""Reads data/train.csv. A script').replace(
        "def main():", "def main():\n    print('see outputs/best.pt and data/train')\n    logging.info('runs/1')"
    )
    assert look(ws, source).findings == ()


def test_modes_and_methods_are_no_paths(ws: Workspace) -> None:
    lines = ['(path / "a").open("a")', 'path.open("r")', 'self.load("train")', 'load("valid")', '"a".join(names)']
    source = GOOD.replace("def main():", "def main(self, path, names):\n    " + "\n    ".join(lines))
    assert look(ws, source).findings == ()


def test_what_spec_json_declares_as_not_required_is_not_asked_for(ws: Workspace) -> None:
    source = GOOD.replace("save_last=True", "save_top_k=1").replace("callbacks=[Model", "callbacks=[Other")
    source += '\n\ndef spec():\n    return {"not_required": ["best.ckpt", "last.ckpt"]}\n'
    assert [finding for finding in look(ws, source).findings if finding.error] == []


def test_weights_from_elsewhere_are_nobodys_business(ws: Workspace) -> None:
    source = GOOD.replace("def main():", "def main():\n    torch.load('pretrained/resnet.pth')")
    assert look(ws, source).findings == ()
