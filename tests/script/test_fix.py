"""The fix of a baseline: minimal, once, and a copy needs only its VERSION changed."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.script.baseline.audit import audit, patch_report
from progtrain.engine.script.baseline.desk import Desk
from progtrain.engine.script.header import set_version
from progtrain.engine.text import unified_diff
from progtrain.engine.workspace import Workspace

STRANGERS = Path(__file__).parent / "strangers"
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """With data of four numbers and two classes."""
    workspace = Workspace(tmp_path)
    for split, count in (("train", 64), ("valid", 32)):
        folder = workspace.split("points_v1", split)
        folder.mkdir(parents=True)
        x = np.random.default_rng(count).normal(size=(count, 4)).astype("float32")
        np.savez(folder / "points.npz", x=x, y=(x.sum(axis=1) > 0).astype("int64"))
    return workspace


def bring(ws: Workspace, name: str) -> None:
    if (STRANGERS / name).is_dir():
        shutil.copy(STRANGERS / name / "script.py", ws.baseline_script)
        shutil.copy(STRANGERS / name / "config.py", ws.root / "config.py")
    else:
        shutil.copy(STRANGERS / f"{name}.py", ws.baseline_script)


def look(ws: Workspace) -> Desk:
    return audit(ws, dataset_id="points_v1", settings={})


def apply(found: Desk) -> None:
    assert found.errors == ()
    for path, text in found.changed.items():
        path.write_text(text)


def train(ws: Workspace, version: str) -> None:
    """A copy with nothing changed but its VERSION."""
    ws.script(version).write_text(set_version(ws.baseline_script.read_text(), version))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ws.script(version).name]
    done = subprocess.run(command, cwd=ws.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["joined", "options", "configured", "plain", "classy"])
def test_a_strangers_script_runs_version_by_version_after_the_fix(ws: Workspace, name: str) -> None:
    bring(ws, name)
    apply(look(ws))
    before = {path for path in ws.root.rglob("*") if path.is_file()}
    train(ws, "v001")
    folder = ws.version("v001")
    assert folder.best_checkpoint.is_file()
    assert folder.last_checkpoint.is_file()
    assert sorted(path.name for path in (folder.logs / "version_0").iterdir()) == ["hparams.yaml", "metrics.csv"]
    written = {path for path in ws.root.rglob("*") if path.is_file()} - before
    strays = {p for p in written if not p.is_relative_to(folder.path) and "__pycache__" not in p.parts}
    assert strays == {ws.script("v001")}


@pytest.mark.parametrize("name", ["joined", "options", "configured", "plain", "classy"])
def test_a_fixed_script_needs_no_second_fix(ws: Workspace, name: str) -> None:
    bring(ws, name)
    apply(look(ws))
    again = look(ws)
    assert (again.findings, again.changed) == ((), {})


@pytest.mark.parametrize("name", ["joined", "options", "configured", "plain", "classy"])
def test_the_fix_leaves_everything_else_to_the_letter(ws: Workspace, name: str) -> None:
    bring(ws, name)
    found = look(ws)
    for path, text in found.changed.items():
        old = found.sources[path].splitlines()
        gone = [line for line in old if line not in text.splitlines()]
        assert len(gone) <= 6, gone
        assert [n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)] == [
            n.name for n in ast.walk(ast.parse(found.sources[path])) if isinstance(n, ast.FunctionDef)
        ]


def test_what_the_fixed_lines_look_like(ws: Workspace) -> None:
    bring(ws, "classy")
    text = look(ws).changed[ws.baseline_script]
    assert '    data_dir: Path = HERE / "dataset" / "prepdata" / DATASET_ID\n' in text
    assert '    ckpt_dir: Path = HERE / "Models" / "Artifacts" / VERSION\n' in text
    assert '[loggers.CSVLogger(str(cfg.ckpt_dir), version=0, name="logs")],  # one folder a run\n' in text
    assert '    hooks = [cb.LearningRateMonitor("epoch"), checkpoint]\n' in text


def test_a_file_of_the_scripts_own_never_takes_the_name_of_lightnings_checkpoint(ws: Workspace) -> None:
    bring(ws, "joined")
    text = ws.baseline_script.read_text()
    ws.baseline_script.write_text(text.replace("\n\nmain()", '    torch.save(trainer, "final_model.pt")\n\n\nmain()'))
    assert 'torch.save(trainer, f"Models/Artifacts/{VERSION}/final_model.pt")' in look(ws).changed[ws.baseline_script]


def test_an_imported_module_is_fixed_and_its_folders_get_the_version_in_the_script(ws: Workspace) -> None:
    bring(ws, "configured")
    files = look(ws).changed
    config = files[ws.root / "config.py"]
    assert 'DATASET_ID = "points_v1"\nDATA_ROOT = f"dataset/prepdata/{DATASET_ID}"\n' in config
    # all versions share config.py: a VERSION there would be the same for all
    assert "VERSION" not in config
    assert 'config.RUN_DIR = f"Models/Artifacts/{VERSION}"\n' in files[ws.baseline_script]


def test_a_folder_that_only_an_imported_module_uses_is_refused(ws: Workspace) -> None:
    bring(ws, "configured")
    config = ws.root / "config.py"
    config.write_text(config.read_text() + '\n\ndef save(text):\n    open(RUN_DIR + "/notes.txt", "w").write(text)\n')
    errors = look(ws).errors
    assert [error.file for error in errors] == ["config.py"]
    assert "which all versions share" in errors[0].problem


PATHS = [
    ('np.load("data/train/points.npz")', 'np.load(f"dataset/prepdata/{DATASET_ID}/train/points.npz")'),
    ("np.load('./data/train/points.npz')", "np.load(f'dataset/prepdata/{DATASET_ID}/train/points.npz')"),
    (
        'np.load("dataset/prepdata/points_v0/train/points.npz")',
        'np.load(f"dataset/prepdata/{DATASET_ID}/train/points.npz")',
    ),
    (
        'np.load(Path("data") / "train" / "points.npz")',
        'np.load(Path(f"dataset/prepdata/{DATASET_ID}") / "train" / "points.npz")',
    ),
    (
        'np.load(os.path.join("dataset", "prepdata", "points_v0", "train", "points.npz"))',
        'np.load(os.path.join("dataset", "prepdata", DATASET_ID, "train", "points.npz"))',
    ),
    (
        'np.load(os.path.join("my", "data", "train", "points.npz"))',
        'np.load(f"dataset/prepdata/{DATASET_ID}/train/points.npz")',
    ),
    ('gzip.open("data/train/points.npz")', 'gzip.open(f"dataset/prepdata/{DATASET_ID}/train/points.npz")'),
    ('open("train/points.npz", "rb")', 'open(f"dataset/prepdata/{DATASET_ID}/train/points.npz", "rb")'),
    (
        'Path("data/train").joinpath("points.npz").read_bytes()',
        'Path(f"dataset/prepdata/{DATASET_ID}/train").joinpath("points.npz").read_bytes()',
    ),
    ('np.load("data/" + split + "/points.npz")', 'np.load(f"dataset/prepdata/{DATASET_ID}/" + split + "/points.npz")'),
    ('plt.savefig("loss.png")', 'plt.savefig(f"Models/Artifacts/{VERSION}/loss.png")'),
    ('torch.save(net, "out/best_model.pt")', 'torch.save(net, f"Models/Artifacts/{VERSION}/best.ckpt")'),
    ('torch.save(net, f"out/{name}/x.txt")', 'torch.save(net, f"Models/Artifacts/{VERSION}/x.txt")'),
    ('frame.to_csv("Models/Artifacts/run1/table.csv")', 'frame.to_csv(f"Models/Artifacts/{VERSION}/table.csv")'),
    ('Path("notes.txt").write_text("x")', 'Path(f"Models/Artifacts/{VERSION}/notes.txt").write_text("x")'),
]


@pytest.mark.parametrize(("line", "expected"), PATHS)
def test_paths_follow_the_constants_in_every_style(ws: Workspace, line: str, expected: str) -> None:
    head = 'import gzip\nDATASET_ID = "points_v1"\nVERSION = "baseline"\n\n\ndef main(split, name):\n    '
    ws.baseline_script.write_text(f'{head}{line}\n\n\nif __name__ == "__main__":\n    main("train", "a")\n')
    texts = look(ws).changed
    assert texts[ws.baseline_script].splitlines()[6].strip() == expected


@pytest.mark.parametrize("name", ["digits", "wine", "diabetes"])
def test_the_examples_need_little_and_their_copies_run(tmp_path: Path, name: str) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns("dataset", "Models", ".progtrain"))
    ws = Workspace(tmp_path / name)
    subprocess.run([sys.executable, "01_data_pipeline.py"], cwd=ws.root, check=True, capture_output=True)
    found = audit(ws, dataset_id=f"{name}_v1", settings={"epochs": 1})
    apply(found)
    assert len(found.summary) <= 3
    train(ws, "v001")
    assert ws.version("v001").best_checkpoint.is_file()
    assert audit(ws, dataset_id=f"{name}_v1", settings={"epochs": 1}).findings == ()


def test_the_report_says_what_was_found_and_changed(ws: Workspace) -> None:
    bring(ws, "configured")
    found = look(ws)
    diff = "".join(unified_diff(found.sources[p], text, ws.relative(p)) for p, text in found.changed.items())
    report = patch_report(found, diff)
    headings = [line for line in report.splitlines() if line.startswith("## ")]
    assert headings == [
        "## issues_found",
        "## patch_summary",
        "## files_changed",
        "## compatibility_notes",
        "## diff",
    ]
    assert "- config.py, line 7: the data path" in report
    assert "\n- config.py\n" in report
    assert '+DATA_ROOT = f"dataset/prepdata/{DATASET_ID}"' in report


def test_the_report_of_a_script_without_findings(ws: Workspace) -> None:
    bring(ws, "plain")
    apply(look(ws))
    report = patch_report(look(ws), "")
    assert report.count("none") == 5


def test_a_broken_imported_module_is_named(ws: Workspace) -> None:
    bring(ws, "configured")
    (ws.root / "config.py").write_text("x = (\n")
    with pytest.raises(InputError, match=r"config\.py, line 1"):
        look(ws)
