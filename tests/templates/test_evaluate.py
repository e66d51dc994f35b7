"""03_eval.py on scripts that it has never seen."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from progtrain.engine import metrics
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.files import sha256
from progtrain.engine.loop.steps.evaluate import ensure_script, to_write
from progtrain.engine.schema import EvalScore, Protocol, load
from progtrain.engine.templates.progtrain_eval.common import evaluator_sha256
from progtrain.engine.workspace import Workspace

Put = Callable[..., None]
Run = Callable[..., Any]


def score_of(ws: Workspace) -> dict[str, float | None]:
    score = load(ws.version("v001").eval_score, EvalScore)
    return {metric.name: metric.value for metric in score.metrics}


def samples_of(ws: Workspace) -> PerSample:
    return read_per_sample(ws.version("v001").per_sample)


def protocol_of(ws: Workspace) -> Protocol:
    return load(ws.version("v001").protocol, Protocol)


def test_score_holds_exactly_what_the_format_says(toy: Workspace, evaluated: Run) -> None:
    """The loss always, the rules' metrics, whole validation set, time with zone."""
    assert evaluated("--version", "v001").code == 0
    written = json.loads(toy.version("v001").eval_score.read_text())
    assert list(written) == ["dataset_id", "created_at", "num_samples", "metrics", "latency_ms"]
    score = load(toy.version("v001").eval_score, EvalScore)
    assert (score.dataset_id, score.num_samples) == ("toy_v1", 12)
    assert score.created_at.tzinfo is not None
    assert [(m.name, m.higher_is_better) for m in score.metrics] == [("loss", False), ("accuracy", True)]
    assert score.latency_ms is not None and score.latency_ms > 0


def test_what_others_noted_in_a_score_is_kept(toy: Workspace, evaluated: Run) -> None:
    toy.version("v001").eval_score.write_text('{"num_samples": 1, "note": "seen by hand"}')
    assert evaluated("--version", "v001").code == 0
    score = json.loads(toy.version("v001").eval_score.read_text())
    assert (score["num_samples"], score["note"]) == (12, "seen by hand")


def test_without_metrics_in_the_rules_there_is_the_loss_alone(toy: Workspace, evaluated: Run, rules: Put) -> None:
    rules()
    assert evaluated("--version", "v001").code == 0
    assert list(score_of(toy)) == ["loss"]


def test_per_sample_table_has_a_row_a_sample_and_parts_whose_mean_is_the_metric(
    toy: Workspace, evaluated: Run, put: Put
) -> None:
    put(("i % 3) for i", "(i % 3 if i > 2 else 0)) for i"))
    evaluated("--version", "v001")
    rows = samples_of(toy)
    assert len(rows) == 12
    assert rows.correct.count(False) == 2
    part = metrics.value_of("accuracy", rows.parts)
    assert part is not None and sum(p or 0 for p in part) / 12 == pytest.approx(score_of(toy)["accuracy"])
    assert sum(loss or 0 for loss in rows.loss) / 12 == pytest.approx(score_of(toy)["loss"])
    assert all(c is not None and 0.9 < c < 1 for c in rows.confidence)


def test_what_is_missing_of_the_evaluator_is_written_and_nothing_else(ws: Workspace) -> None:
    ensure_script(ws.eval_script)
    modules = sorted(path.name for path in ws.eval_modules.iterdir())
    assert "judge.py" in modules and to_write(ws.eval_script) == []
    (ws.eval_modules / "judge.py").write_text("# mine\n")
    (ws.eval_modules / "steps.py").unlink()
    assert to_write(ws.eval_script) == ["progtrain_eval/"]
    ensure_script(ws.eval_script)
    assert sorted(path.name for path in ws.eval_modules.iterdir()) == modules
    assert (ws.eval_modules / "judge.py").read_text() == "# mine\n"


def test_a_module_that_an_evaluator_from_before_does_not_know_is_not_added_to_it(ws: Workspace) -> None:
    ensure_script(ws.eval_script)
    before = evaluator_sha256(ws.root)
    for path in ws.eval_modules.iterdir():
        # as if nothing had needed it when the workspace was made
        path.write_text(path.read_text().replace("from .weights import put_weights\n", ""))
    (ws.eval_modules / "weights.py").unlink()
    older = evaluator_sha256(ws.root)
    assert older != before and to_write(ws.eval_script) == []
    ensure_script(ws.eval_script)
    assert evaluator_sha256(ws.root) == older


def test_an_evaluator_in_one_file_gets_no_modules_and_keeps_its_hash(ws: Workspace) -> None:
    """One of the user's own, or of a workspace from before."""
    ws.eval_script.write_text("print('mine')\n")
    ensure_script(ws.eval_script)
    assert not ws.eval_modules.exists()
    ensure_script(ws.report_script)  # shares some with it
    assert ws.eval_modules.is_dir()
    assert evaluator_sha256(ws.root) == sha256(ws.eval_script)


def test_protocol_names_all_that_makes_scores_comparable(toy: Workspace, evaluated: Run, put: Put) -> None:
    """Another evaluator or other data is seen."""
    evaluated("--version", "v001")
    before = protocol_of(toy)
    toy.eval_script.write_text(toy.eval_script.read_text() + "\n# mine\n")
    evaluated("--version", "v001")
    assert not before.comparable(protocol_of(toy))
    own = protocol_of(toy)
    assert own.evaluator_sha256 == evaluator_sha256(toy.root)
    judge = toy.eval_modules / "judge.py"
    judge.write_text(judge.read_text() + "\n# stricter\n")
    evaluated("--version", "v001")
    assert not own.comparable(protocol_of(toy))
    (toy.split("toy_v1", "valid") / "data.csv").write_text("id\nmore\n")
    evaluated("--version", "v001")
    assert protocol_of(toy).data_sha256 != before.data_sha256
    assert (before.seed, before.split, before.task) == (42, "valid", "classification")


def test_another_checkpoint_of_a_version_is_evaluated_into_a_folder_of_its_own(
    toy: Workspace, evaluated: Run, tmp_path: Path
) -> None:
    toy.version("v001").last_checkpoint.write_bytes(b"other weights")
    arguments = ("--version", "v001", "--output", str(tmp_path / "cell"))
    assert evaluated(*arguments, "--checkpoint", "last.ckpt").code == 0
    protocol = json.loads((tmp_path / "cell/_eval/protocol.json").read_text())
    assert protocol["checkpoint_sha256"] == sha256(toy.version("v001").last_checkpoint)
    assert not toy.version("v001").eval_score.exists()
    told = evaluated(*arguments, "--checkpoint", "../v002/best.ckpt")
    assert told.code == 1 and "names a file of the version's folder, without its path" in told.err
    assert "gone.ckpt does not exist" in evaluated(*arguments, "--checkpoint", "gone.ckpt").err


def test_the_same_samples_are_shown_for_every_version(toy: Workspace, evaluated: Run, rules: Put, put: Put) -> None:
    """Drawn with the rules' seed, whatever order a script gives them in."""
    rules(metrics=["accuracy"], infer_samples=4)
    put(version="v002")
    put(("for i in range(12)]", "for i in reversed(range(12))]"), version="v002")
    evaluated("--version", "v001")
    evaluated("--version", "v002")

    def shown(version: str) -> list[str]:
        folders = sorted(toy.version(version).infer_samples.iterdir())
        assert [f.name for f in folders] == ["0001", "0002", "0003", "0004"]
        return [json.loads((f / "meta.json").read_text())["sample_id"] for f in folders]

    assert shown("v001") == shown("v002")


def test_a_sample_folder_tells_input_output_truth_and_conditions(toy: Workspace, evaluated: Run) -> None:
    evaluated("--version", "v001")
    folder = toy.version("v001").infer_samples / "0001"
    assert {p.name for p in folder.iterdir()} == {
        "input.json",
        "output.json",
        "meta.json",
        "gt.json",
        "summary.txt",
    }
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["correct"] is True
    assert meta["seed"] == 42
    assert {"sample_id", "conditions", "config", "version"} <= set(meta)


def test_evaluating_again_replaces_what_was_there(toy: Workspace, evaluated: Run, rules: Put) -> None:
    evaluated("--version", "v001")
    rules(metrics=["accuracy"], infer_samples=2)
    evaluated("--version", "v001")
    assert len(list(toy.version("v001").infer_samples.iterdir())) == 2
    assert not [p for p in toy.version("v001").path.rglob("*") if p.name.startswith(".")]


IMAGE = "__import__('numpy').full((8, 8), 20 * i, dtype='uint8')"
IMAGE_NET = ("x[:, 0].long()", "x[:, 0, 0].long() // 20 % 3")


@pytest.mark.parametrize(
    ("raw", "net", "name"),
    [
        (IMAGE, IMAGE_NET, "input.png"),
        (
            f"__import__('numpy').stack([{IMAGE}] * 3)",
            ("x[:, 0].long()", "x[:, 0, 0, 0].long() // 20 % 3"),
            "input.png",
        ),
        (
            "__import__('PIL.Image').Image.new('RGB', (9, 6), (i, 0, 0))",
            ("x[:, 0].long()", "x[:, 0, 0, 0].long() % 3"),
            "input.png",
        ),
        ("__import__('torch').full((2, 3, 4, 5), i % 3)", ("x[:, 0].long()", "x[:, 0, 0, 0, 0].long()"), "input.npy"),
        ("'word ' * (i % 3)", ("x[:, 0].long()", "torch.tensor([t.count('word') for t in x])"), "input.txt"),
        ("{'a': float(i % 3)}", ("x[:, 0].long()", "x['a'].long()"), "input.json"),
    ],
)
def test_inputs_of_any_kind_are_evaluated_and_kept(
    toy: Workspace, evaluated: Run, put: Put, raw: str, net: tuple[str, str], name: str
) -> None:
    """Images, arrays, text, tables."""
    put(("[float(i % 3), 1.0]", raw), net)
    done = evaluated("--version", "v001")
    assert done.code == 0, done.err
    assert score_of(toy)["accuracy"] == 1
    folder = toy.version("v001").infer_samples / "0001"
    assert (folder / name).is_file()
    assert (folder / "viz.png").is_file() == (name == "input.png")


def test_a_grey_image_keeps_its_pixels(toy: Workspace, evaluated: Run, put: Put) -> None:
    put(("[float(i % 3), 1.0]", IMAGE), IMAGE_NET)
    evaluated("--version", "v001")
    folder = toy.version("v001").infer_samples / "0001"
    number = int(json.loads((folder / "meta.json").read_text())["sample_id"][1:])
    with Image.open(folder / "input.png") as image:
        assert (image.size, image.getpixel((3, 3))) == ((8, 8), 20 * number)


@pytest.mark.parametrize(
    ("pieces", "metrics", "task", "expected"),
    [
        # one logit: sigmoid
        ([("i % 3) for", "i % 2) for"), ("float(i % 3)", "float(i % 2)"),
          ("torch.nn.functional.one_hot(x[:, 0].long(), 3).float() * 4", "x[:, :1] * 4 - 2")],
         ["accuracy", "f1", "auroc"], "binary", {"accuracy": 1, "f1": 1, "auroc": 1, "loss": 0.1269280}),
        # a forward that squeezes the batch away when it is one
        ([("i % 3) for", "i % 2) for"), ("float(i % 3)", "float(i % 2)"),
          ("torch.nn.functional.one_hot(x[:, 0].long(), 3).float() * 4", "(x[:, :1] * 4 - 2).squeeze()")],
         ["accuracy"], "binary", {"accuracy": 1}),
        # several labels at once
        ([("i % 3) for", "[i % 2, 1, 0]) for"), ("float(i % 3)", "float(i % 2)"),
          ("torch.nn.functional.one_hot(x[:, 0].long(), 3).float() * 4",
           "torch.stack([x[:, 0] * 4 - 2, x[:, 1], x[:, 1]], 1)")],
         ["accuracy", "f1"], "multilabel", {"accuracy": 2 / 3}),
        # numbers
        ([("i % 3) for", "i % 3 + 0.5) for"),
          ("torch.nn.functional.one_hot(x[:, 0].long(), 3).float() * 4", "x[:, 0]")],
         ["rmse", "mae", "r2", "MeanSquaredError"], "regression",
         {"loss": 0.25, "rmse": 0.5, "mae": 0.5, "r2": 0.625, "MeanSquaredError": 0.25}),
        # probabilities instead of logits count as such
        ([(".float() * 4", ".float() * 0.7 + 0.1")], ["accuracy"], "classification",
         {"accuracy": 1, "loss": 0.2231436}),
        # a tuple, and names of classes as targets and predictions
        ([("return torch.nn.functional.one_hot(x[:, 0].long(), 3).float() * 4",
           "return torch.nn.functional.one_hot(x[:, 0].long(), 3).float() * 4, None"),
          ("i % 3) for", "'abc'[i % 3]) for"),
          ("DATASET_ID", "CLASS_NAMES = ['a', 'b', 'c']\npostprocess = lambda o: 'abc'[int(o.argmax())]\nDATASET_ID")],
         ["macro_f1", "top2_accuracy", "balanced_accuracy", "val_acc"], "classification",
         {"macro_f1": 1, "top2_accuracy": 1, "balanced_accuracy": 1, "val_acc": 1}),
    ],
)  # fmt: skip
def test_tasks_and_outputs_are_recognised(
    toy: Workspace,
    evaluated: Run,
    put: Put,
    rules: Put,
    pieces: list[tuple[str, str]],
    metrics: list[str],
    task: str,
    expected: dict[str, float],
) -> None:
    put(*pieces)
    rules(metrics=metrics)
    done = evaluated("--version", "v001")
    assert done.code == 0, done.err
    assert protocol_of(toy).task == task
    values = score_of(toy)
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-5)


def test_stats_decide_the_task_where_targets_leave_it_open(toy: Workspace, evaluated: Run, rules: Put) -> None:
    """`task_type` is looked for, whatever the words."""
    toy.stats("toy_v1").write_text(json.dumps({"meta": {"task_type": "Multi-class Classification"}}))
    evaluated("--version", "v001")
    assert protocol_of(toy).task == "classification"


def test_regression_has_no_right_and_wrong_but_parts(toy: Workspace, evaluated: Run, put: Put, rules: Put) -> None:
    """For rmse the squared error."""
    rules(metrics=["rmse", "r2"])
    put(
        ("i % 3) for", "i % 3 + 0.5) for"),
        ("torch.nn.functional.one_hot(x[:, 0].long(), 3).float() * 4", "x[:, 0]"),
    )
    evaluated("--version", "v001")
    with toy.version("v001").per_sample.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["sample_id", "truth", "prediction", "correct", "loss", "part__rmse", "served_by", "error"]
    assert {row["correct"] for row in rows} == {""}
    assert {row["part__rmse"] for row in rows} == {"0.25"}


def test_a_metric_of_the_rules_own_direction_keeps_it(toy: Workspace, evaluated: Run, rules: Put) -> None:
    rules(metrics=[{"name": "calibration_error", "higher_is_better": False}, {"name": "f1", "higher_is_better": True}])
    evaluated("--version", "v001")
    score = load(toy.version("v001").eval_score, EvalScore)
    assert {m.name: m.higher_is_better for m in score.metrics} == {
        "loss": False,
        "calibration_error": False,
        "f1": True,
    }


def test_answers_that_are_no_numbers_give_null_and_wrong(toy: Workspace, evaluated: Run, put: Put) -> None:
    put((".float() * 4", ".float() * torch.where(x[:, :1] > 1, float('nan'), 4.0)"))
    done = evaluated("--version", "v001")
    assert done.code == 0, done.err
    assert "4 answers are not finite" in done.out
    assert score_of(toy) == {"loss": None, "accuracy": None}
    rows = samples_of(toy)
    assert rows.correct.count(False) == 4
    assert rows.prediction.count("nan") == 4
    assert "NaN" not in toy.version("v001").eval_score.read_text()


LOADER = """
import torch
from torch.utils.data import DataLoader

DATASET_ID = "toy_v1"


class Items(torch.utils.data.Dataset):
    def __len__(self):
        return 9

    def __getitem__(self, index):
        ids = torch.arange(1 + index % 3)
        return {"ids": ids, "mask": torch.ones_like(ids), "label": index % 3}


def pad(items):
    most = max(len(item["ids"]) for item in items)
    def padded(name):
        return torch.stack([torch.nn.functional.pad(i[name], (0, most - len(i[name]))) for i in items])
    return {"ids": padded("ids"), "mask": padded("mask"), "label": torch.tensor([i["label"] for i in items])}


def val_dataloader():
    return DataLoader(Items(), batch_size=4, collate_fn=pad)


class Net(torch.nn.Module):
    def forward(self, ids, mask):
        return {"logits": torch.nn.functional.one_hot(mask.sum(1) - 1, 3).float()}


def load_model(checkpoint_path):
    return Net()
"""


def test_dicts_of_tensors_of_different_lengths_come_through_the_loader(
    toy: Workspace, evaluated: Run, put: Put
) -> None:
    """Tokens and masks, as language models take them; they make no batch, so they go one by one."""
    put(script=LOADER)
    done = evaluated("--version", "v001")
    assert done.code == 0, done.err
    assert score_of(toy)["accuracy"] == 1


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (("import torch", "import nowhere"), "importing 02_train_v001.py failed (02_train_v001.py, line 2): Mod"),
        (("def load_model(", "def other("), "02_train_v001.py defines no LightningModule"),
        (("return Net()", "raise ValueError('too old')"), "does not fit the model of 02_train_v001.py"),
        (("range(12)", "range(0)"), "02_train_v001.py gives no samples for the split 'valid'"),
        (("f\"s{i:02d}\"", "'same'"), "the sample id 'same' comes 12 times"),
        (("def load_split(split)", "def split(split)"), "offers neither load_split(split) nor val_dataloader() with"),
        (("return [(", "return 1 / 0, [("), "(02_train_v001.py, line 8): ZeroDivisionError"),
        (("i % 3) for", "i % 4) for"), "a target is class 3, but the model tells 3 classes apart"),
        (("i % 3) for", "'x') for"), "the target 'x' is none of CLASS_NAMES"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_that_says_what_is_wrong(
    toy: Workspace, evaluated: Run, put: Put, piece: tuple[str, str], message: str
) -> None:
    put(piece)
    done = evaluated("--version", "v001")
    assert done.code == 1
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not toy.version("v001").eval_score.exists()


def test_an_unknown_metric_names_the_nearest_known(toy: Workspace, evaluated: Run, rules: Put) -> None:
    rules(metrics=["acuracy"])
    done = evaluated("--version", "v001")
    assert done.code == 1
    assert "no metric 'acuracy' for classification; the nearest names: accuracy" in done.err
    rules(metrics=["wer"])
    assert "the metric 'wer' does not fit classification; those that do: loss, " in evaluated("--version", "v001").err


def test_an_unknown_version_names_those_that_exist(evaluated: Run, toy: Workspace) -> None:
    assert "02_train_v007.py does not exist; versions here: v001" in evaluated("--version", "v007").err


def test_the_test_split_is_kept_for_the_final_report(
    evaluated: Run, toy: Workspace, rules: Put, tmp_path: Path
) -> None:
    """Validation data only, unless the rules ask for the one final test."""
    assert "final report alone" in evaluated("--version", "v001", "--split", "test").err
    rules(metrics=["accuracy"], final_test=True)
    assert evaluated("--version", "v001", "--split", "test", "--output", str(tmp_path / "t")).code == 0
    assert (tmp_path / "t" / "eval_score.json").is_file()
    assert not toy.version("v001").eval_score.exists()


@pytest.mark.parametrize(
    ("answer", "accuracy", "has_loss"),
    [
        ("int(raw[0])", 1, True),
        ("[0.0, 1.0, 0.0]", 1 / 3, True),
        ("{'label': 2, 'probabilities': [0.2, 0.2, 0.6]}", 1 / 3, True),
        ("{'label': int(raw[0])}", 1, False),
    ],
)
def test_external_models_are_scored_with_the_same_samples(
    toy: Workspace, evaluated: Run, answer: str, accuracy: float, has_loss: bool
) -> None:
    folder = toy.external / "their model"
    folder.mkdir(parents=True)
    if answer == "int(raw[0])":  # a number of scores is as good as an array
        answer = "__import__('torch').eye(3)[int(raw[0])] * 5"
    (folder / "inference_sample.py").write_text(f"def predict(raw):\n    return {answer}\n")
    done = evaluated("--external", "their model")
    assert done.code == 0, done.err
    score = load(folder / "eval_score.json", EvalScore)
    assert score.num_samples == 12
    assert {m.name: m.value for m in score.metrics}["accuracy"] == pytest.approx(accuracy)
    assert ({m.name: m.value for m in score.metrics}["loss"] is not None) == has_loss


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "user_defined_rules.json is not valid JSON"),
        ("[]", "holds no JSON object"),
        ('{"seed": "x"}', "ValueError"),
    ],
)
def test_broken_rules_are_one_line(toy: Workspace, evaluated: Run, text: str, message: str) -> None:
    toy.rules.write_text(text)
    done = evaluated("--version", "v001")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert message in done.err
