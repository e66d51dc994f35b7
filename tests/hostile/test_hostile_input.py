"""Actions, rules and single files, made up and made hostile: a refusal that somebody can act on, or a result."""

from __future__ import annotations

import ast
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from progtrain.engine import hooks, schema
from progtrain.engine.additions import folder as additions
from progtrain.engine.analysis.measure.curves import read_metrics
from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.campaign import file as campaigns
from progtrain.engine.drafting.preview import preview
from progtrain.engine.errors import ProgtrainError
from progtrain.engine.experiment import checkpoints, outcome
from progtrain.engine.experiment.stages import design
from progtrain.engine.files import try_read_json
from progtrain.engine.loop import apart
from progtrain.engine.rules import rules
from progtrain.engine.script import config_files, notebook, probe
from progtrain.engine.script.settings import find_settings
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace
from progtrain.engine.yaml_text import read_mapping
from progtrain.tui.reading.metrics_file import MetricsFile
from progtrain.tui.reading.samples import read_outcomes
from tests.hostile import looking, mutations

_EASY = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
_MANY = settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))

_ACTIONS: tuple[dict[str, Any], ...] = (
    {"operation": "set", "setting": "LEARNING_RATE", "from": 0.01, "to": 0.003},
    {"operation": "set", "setting": "BATCH_SIZE", "to": 32},
    {"operation": "set", "setting": "HIDDEN", "to": [32, 16], "base": "v001"},
    {"operation": "recipe", "recipe": "early_stopping", "parameters": {"patience": 5}},
    {"operation": "recipe", "recipe": "cosine_schedule"},
    {"operation": "revert", "version": "v001"},
    {"operation": "edit", "function": "Net.forward", "body": "return self.layers(x)"},
    {"operation": "data", "addition": "a1", "focus": {"wrong": True}, "augment": {"with": ["noise"]}},
)


def _action(random: Random) -> str:
    """The text of an action, wrong in one or more ways."""
    data = dict(random.choice(_ACTIONS))
    for _ in range(random.choice((0, 1, 1, 2))):
        key = random.choice([*data, "to", "operation", "x", "parameters"])
        if random.random() < 0.15:
            data.pop(key, None)
        elif random.random() < 0.15 and isinstance(data.get(key), dict):
            value = random.choice(mutations.VALUES)
            value = str(value) if isinstance(value, mutations.Raw) else value
            data[key] = {random.choice(("", "x", mutations.ESCAPES)): value}
        else:
            data[key] = random.choice(mutations.VALUES)
    raw = {key: value for key, value in data.items() if isinstance(value, mutations.Raw)}
    block = yaml.safe_dump({k: v for k, v in data.items() if k not in raw}, allow_unicode=True)
    block += "".join(f"{key}: {value}\n" for key, value in raw.items())
    text = f"# Selected Action\n\n## Change\n\n```yaml\n{block}```\n\n## Goal\n\nbetter\n"
    if random.random() < 0.5:
        text = mutations.hostile(text.encode("utf-8", "replace"), random, "action-extract.md").decode(
            "utf-8", "replace"
        )
    return text


def _try_actions(ws: Workspace, numbers: range) -> int:
    """How many of them could be applied; each of these gives a script that compiles."""
    applied = 0
    for number in numbers:
        text = _action(Random(f"{looking.SEED}-{number}"))
        with looking.ending(f"action {number}"):
            try:
                found = preview(ws, "v001", text)
            except Exception as error:
                raise AssertionError(f"PROGTRAIN_SEED={looking.SEED}, action {number}:\n{text[:2000]}") from error
        assert found.problems or found.diff, number
        applied += not found.problems
    return applied


def test_actions_of_any_kind_are_refused_or_applied(tmp_path: Path) -> None:
    assert _try_actions(looking.unpacked("review", tmp_path), range(50)) > 0


@pytest.mark.slow
def test_ten_thousand_actions_are_refused_or_applied(tmp_path: Path) -> None:
    assert _try_actions(looking.unpacked("review", tmp_path), range(1000, 11_000)) > 0


@pytest.mark.parametrize("kind", ["[set]", "\n- set", "{set: }", "{}", "[]", "null", "1e400", "!!set {set}"])
def test_an_operation_that_is_no_word_is_unknown(kind: str, tmp_path: Path) -> None:
    ws = looking.unpacked("review", tmp_path)
    text = f"## Change\n\n```yaml\noperation: {kind}\nsetting: LEARNING_RATE\nto: 0.1\n```\n"
    assert preview(ws, "v001", text).problems
    ws.drafts("v001").action.write_text(text)
    assert "operation" in looking.look(ws, ("review", "accept"), kind)


# rules

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([10**30, 10**400, 1e308]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_SECTIONS = [
    "loop_config",
    "dataset_config",
    "training_config",
    "eval_config",
    "advisor_config",
    "seed",
    "training_args",
]
_KEYS = [
    "max_versions",
    "branch_from",
    "max_train_attempts",
    "executor",
    "resources",
    "step_timeout_minutes",
    "sandbox",
    "dataset_id",
    "prepdata_version",
    "primary_metric",
    "metrics",
    "repeats",
    "infer_samples",
    "model",
    "python",
    "batch_size",
    "learning_rate",
    "epochs",
    "allow_code_edits",
]
_rules = st.dictionaries(
    st.sampled_from(_SECTIONS) | st.text(max_size=5),
    st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=5), _json, max_size=3) | _json,
    max_size=4,
)


def _try_rules(root: Path, value: Any, prose: str) -> None:
    ws = Workspace(root)
    ws.rules.write_text(json.dumps(value), "utf-8")
    ws.instruction.write_bytes(prose.encode("utf-8", "replace"))
    try:
        found = rules.load(ws)
    except ProgtrainError as error:
        assert error.file and error.fix and error.exit_code == 2
    else:
        assert found.max_versions >= 1
        assert [found.seed, found.repeats, found.timeout_seconds, found.resources, found.locks_shown(), found.notes()]
    with looking.ending("status"):
        WorkspaceView(root).snapshot()


@_EASY
@given(value=_rules, prose=st.text(max_size=200))
def test_rules_of_any_kind_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, value: Any, prose: str
) -> None:
    _try_rules(tmp_path_factory.getbasetemp(), value, prose)


@pytest.mark.slow
@_MANY
@given(value=_rules, prose=st.text(max_size=200))
def test_a_thousand_rules_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: Any, prose: str) -> None:
    _try_rules(tmp_path_factory.getbasetemp(), value, prose)


# every reader by itself

_YAML = b"seed: 1\nmodel: &m {hidden: 32, lr: 1e-3}\nother: *m\nlist: [1, 2]\ndate: 2026-01-01\ntext: |\n  a\n  b\n"
_TOML = b'seed = 1\n[model]\nlr = 1e-3\nsizes = [1, 2]\nname = "x"\ndate = 2026-01-01\n'
_NOTEBOOK = json.dumps(
    {"cells": [{"cell_type": "code", "source": ["%pip install x\n", "lr = 0.1\n"]}, {"cell_type": "markdown"}]}
).encode()
_METRICS = b"epoch,step,train_loss,val_loss\n" + b"".join(b"%d,%d,%f,\n" % (n // 9, n, 1 / (n + 1)) for n in range(40))
_SAMPLES = b"sample_id,truth,prediction,correct,loss,confidence\n" + b"".join(
    b"s%d,a,b,0,1.5,.3\n" % n for n in range(20)
)
_SCRIPT = b"LR = 0.1\nCONFIG = {'batch_size': 3}\n\ndef main(rate=1e-3):\n    print('x')\n\nmain()\n"
_PLAN = b"name: e\ngoal: g\nbase: {script: 02_train_v001.py}\nvary: {LEARNING_RATE: [0.1, 0.01]}\nsearch: grid\n"


def _places(path: Path) -> object:
    text = path.read_bytes().decode("utf-8", "replace")
    return config_files.places(path.name, text), config_files.flat(path.name, text)


def _settings(path: Path) -> object:
    text = path.read_bytes().decode("utf-8", "replace")
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return find_settings(text)


def _outcomes(path: Path) -> object:
    ws = Workspace(path.parent)
    ws.version("v001").per_sample.parent.mkdir(parents=True, exist_ok=True)
    ws.version("v001").per_sample.write_bytes(path.read_bytes())
    return read_outcomes(ws, "v001")


def _mapping(path: Path) -> object:
    return read_mapping(path.read_bytes().decode("utf-8", "replace"), path)


def _plan(path: Path) -> object:
    ws = Workspace(path.parent)
    plan = ws.experiments / "e" / "experiment.yaml"
    plan.parent.mkdir(parents=True, exist_ok=True)
    plan.write_bytes(path.read_bytes())
    ws.script("v001").write_text("LEARNING_RATE = 0.1\n")
    return design.read(ws, "e")


# a campaign, an addition, checkpoints

_CAMPAIGN = (
    b"campaign: c\ngoal: g\nseeds: 1\nvariants:\n  - {version: v001, set: {LEARNING_RATE: 0.2}, note: n}\n"
    b"  - {version: v001, action: {operation: recipe, recipe: gradient_clipping}, seeds: [7, 11]}\n"
)
_ROW = {
    "id": "a001-00000",
    "kind": "augment",
    "parent": "t1",
    "parent_split": "train",
    "operation": "noise",
    "label": 1,
}
_MANIFEST = json.dumps(
    {
        "addition": "a001",
        "dataset_id": "d",
        "made_from": "v001",
        "focus": [{"slice": "class 1", "metric": "recall", "value": 0.5, "rows": 9}],
        "focus_by": "lowest recall",
        "meant": {"classes": ["1"]},
        "hard_by": "the validation samples",
        "counts": {"base": 60, "augment": 2, "replay": 0},
        "ratios": {"add": 0.1, "replay": 0.0},
        "seed": 7,
        "operations": ["noise"],
        "created_at": "2026-01-01T00:00:00+00:00",
        "rows": [_ROW, {**_ROW, "id": "a001-00001"}],
    }
).encode()
_CHECKS = json.dumps(
    {"refused": [{"row": "a001-00002", "reason": "r"}], "suspects_left_out": ["t3"], "limits": {"near": 0.01}}
).encode()
_RECORD = json.dumps(
    {
        "fit": 1,
        "framework": "lightning",
        "trainer": {"max_epochs": 3, "max_steps": -1, "precision": "32-true", "accumulate_grad_batches": 1},
        "loaders": {"train": [{"batch_size": 8, "batches": 4}], "val": [{"batch_size": 8}]},
        "optimizers": [
            {"class": "torch.optim.Adam", "defaults": {"lr": 0.1}, "groups": [{"parameters": 3, "weight_decay": 0.1}]}
        ],
        "hparams": {"seed": 1},
        "data": {"hparams": {"size": 3}},
        "loggers": [{"class": "CSVLogger", "log_dir": "logs"}],
        "ended": {"by": "max_epochs", "epochs": 3, "steps": 12},
        "checkpoints": [
            {"last_model_path": "last.ckpt", "best_model_path": "best.ckpt", "dirpath": "x", "monitor": "l"}
        ],
    }
).encode()


def _zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"pytorch-lightning_version optimizer_states" * 20)
        archive.writestr("archive/data/0", bytes(400))
    return file.getvalue()


_CHECKPOINT = _zipped()
_HEADER = json.dumps({"__metadata__": {}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
_WEIGHTS = len(_HEADER).to_bytes(8, "little") + _HEADER + bytes(8)


def _campaign(path: Path) -> object:
    ws = Workspace(path.parent)
    ws.script("v001").write_text("LEARNING_RATE = 0.1\n")
    return campaigns.read(ws, path)


def _addition(path: Path, name: str) -> object:
    """Believed: the files of the folder are the ones that its checks name. Listed and shown, as a user does it."""
    ws = Workspace(path.parent)
    ws.rules.write_text('{"dataset_config": {"dataset_id": "d"}}')
    folder = additions.AdditionFolder(ws.addition("d", "a001"))
    shutil.rmtree(folder.path, ignore_errors=True)
    folder.path.mkdir(parents=True)
    (folder.path / "rows.csv").write_text("id,label\na001-00000,1\na001-00001,1\n")
    folder.manifest.write_bytes(path.read_bytes() if name == "manifest.json" else _MANIFEST)
    checks = try_read_json(path) if name == "checks.json" else json.loads(_CHECKS)
    additions.finish(folder.path, "data.csv", checks or {})
    for command in ("list",), ("show", "a001"), ("show", "a001", "--json"):
        looking.look(ws, ("additions", *command), f"{name} {path.read_bytes()[:300]!r}")
    return additions.read(ws, "d", "a001")


def _checkpoint(path: Path) -> object:
    return checkpoints._is_whole(path), outcome.broken([path])


def _recorded(path: Path) -> object:
    """By all that go on from it."""
    ws = Workspace(path.parent / "ws")
    ws.record("v001").parent.mkdir(parents=True, exist_ok=True)
    ws.record("v001").write_bytes(path.read_bytes())
    (ws.root / "last.ckpt").write_bytes(_CHECKPOINT)
    training = hooks.record_of(ws, "v001")
    used = probe.used(training), list(probe.broken_locks(training, {"batch_size": 3, "seed": 1}))
    return used, checkpoints.to_go_on_from(ws, "v001"), apart.results_of(ws, "v001")


_READERS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "yaml": ("a.yaml", _YAML, _mapping),
    "config in yaml": ("a.yaml", _YAML, _places),
    "config in toml": ("a.toml", _TOML, _places),
    "config in json": ("a.json", b'{"lr": 0.1, "sizes": [1, 2], "a": {"b": "c"}}', _places),
    "notebook": ("a.ipynb", _NOTEBOOK, notebook.as_script),
    "metrics": ("metrics.csv", _METRICS, read_metrics),
    "metrics on screen": ("metrics.csv", _METRICS, lambda path: MetricsFile(path).read()),
    "samples": ("per_sample.csv", _SAMPLES, read_per_sample),
    "samples on screen": ("per_sample.csv", _SAMPLES, _outcomes),
    "script": ("a.py", _SCRIPT, _settings),
    "plan": ("plan.yaml", _PLAN, _plan),
    "campaign": ("campaign.yaml", _CAMPAIGN, _campaign),
    "manifest of an addition": ("manifest.json", _MANIFEST, lambda path: _addition(path, "manifest.json")),
    "checks of an addition": ("checks.json", _CHECKS, lambda path: _addition(path, "checks.json")),
    "checkpoint": ("last.ckpt", _CHECKPOINT, _checkpoint),
    "weights": ("model.safetensors", _WEIGHTS, lambda path: outcome.broken([path])),
    "record of a training": ("record.json", _RECORD, _recorded),
}


def _try_reader(kind: str, place: Path, numbers: range) -> None:
    name, whole, read = _READERS[kind]
    path = place / name
    for number in numbers:
        path.write_bytes(mutations.hostile(whole, Random(f"{looking.SEED}-{number}"), name))
        with looking.ending(f"{kind} {number}"):
            try:
                read(path)
            except ProgtrainError as error:
                assert error.exit_code in (2, 5) and len(str(error)) < 5000
            except Exception as error:
                raise AssertionError(
                    f"PROGTRAIN_SEED={looking.SEED}, {kind} {number}: {path.read_bytes()[:300]!r}"
                ) from error


@pytest.mark.parametrize("kind", _READERS)
def test_each_reader_refuses_or_reads(kind: str, tmp_path: Path) -> None:
    _try_reader(kind, tmp_path, range(30))


@pytest.mark.slow
@pytest.mark.parametrize("kind", _READERS)
def test_each_reader_refuses_or_reads_a_thousand(kind: str, tmp_path: Path) -> None:
    _try_reader(kind, tmp_path, range(1000, 2000))


_MODELS = (
    schema.EvalScore,
    schema.Protocol,
    schema.Mark,
    schema.Decision,
    schema.Review,
    schema.JobRequest,
    schema.JobState,
)


@_EASY
@given(value=_json, keys=st.randoms(use_true_random=False))
def test_each_model_of_a_file_refuses_in_one_line(value: Any, keys: Random) -> None:
    for model in _MODELS:
        names = list(model.model_fields)
        for data in (value, dict.fromkeys(names, value), {keys.choice(names): value}):
            try:
                schema.validate(data, model, "a.json")
            except ProgtrainError as error:
                assert error.file == "a.json" and error.fix and len(error.located) < 500
