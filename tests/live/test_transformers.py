"""transformers' Trainer: the probe, the record, the curve, a stop, and the weights in the end."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")
LIVE = Path(__file__).parents[2] / "engine" / "live"

SCRIPT = """
import sys, torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

class Tokens(torch.utils.data.Dataset):
    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.x = torch.randint(5, 60, (n, 12), generator=g)
        self.y = (self.x[:, 0] > 30).long()
    def __len__(self):
        return len(self.x)
    def __getitem__(self, i):
        return {"input_ids": self.x[i], "attention_mask": torch.ones(12, dtype=torch.long), "labels": self.y[i]}

epochs = int(sys.argv[1])
model = BertForSequenceClassification(BertConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1,
                                                 num_attention_heads=2, intermediate_size=16, num_labels=2))
args = TrainingArguments("runs", num_train_epochs=epochs, learning_rate=3e-3, per_device_train_batch_size=16,
                         logging_steps=3, report_to=[], save_strategy="epoch", eval_strategy="epoch",
                         load_best_model_at_end=True,
                         metric_for_best_model="loss", use_cpu=True, disable_tqdm=True)
trainer = Trainer(model=model, args=args, train_dataset=Tokens(96, 0), eval_dataset=Tokens(40, 1))
trainer.train()
print("after", trainer.evaluate())
"""


def start(folder: Path, epochs: int, **files: str) -> subprocess.Popen[bytes]:
    (folder / "script.py").write_text(SCRIPT)
    environment = {
        **os.environ,
        "PYTHONPATH": str(LIVE),
        "OMP_NUM_THREADS": "1",
        **{f"PROGTRAIN_{name}": str(folder / file) for name, file in files.items()},
    }
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "script.py", str(epochs)]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_probe_trains_nothing(tmp_path: Path) -> None:
    assert start(tmp_path, 3, PROBE_FILE="probe.json").wait(120) == 0, (tmp_path / "log").read_text()
    found = read(tmp_path / "probe.json")
    assert (found["reached"], found["framework"], found["faults"]) == ("train", "transformers", [])
    assert found["given"]["args"]["learning_rate"] == 3e-3 and found["trainer"]["steps"] == 18
    assert found["optimizers"][0]["groups"][0]["lr"] == 3e-3 and found["schedulers"][0]["name"] == "linear"
    [train], [val] = found["loaders"]["train"], found["loaders"]["val"]
    assert (train["samples"], train["batch_size"], train["shuffle"]) == (96, 16, True)
    assert (val["samples"], val["batch_size"], val["shuffle"]) == (40, 8, False)
    assert train["batch"]["structure"]["input_ids"]["shape"] == [16, 12]
    assert (found["checkpoints"][0]["monitor"], found["checkpoints"][0]["mode"]) == ("loss", "min")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "probe.json", "script.py"]


def test_a_training_leaves_its_record_curve_and_weights(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    files = {"LIVE_FILE": "live.jsonl", "RECORD_FILE": "record.json", "CURVE_FILE": "curve.csv", "WEIGHTS_DIR": "w"}
    assert start(tmp_path, 3, **files).wait(120) == 0, (tmp_path / "log").read_text()
    found = read(tmp_path / "record.json")
    assert (found["ended"], found["faults"]) == ({"by": "max_epochs", "epochs": 3.0, "steps": 18}, [])
    [checkpoint] = found["checkpoints"]
    for name, source in (("best", checkpoint["best_model_path"]), ("last", "runs/checkpoint-18")):
        weights = torch.load(tmp_path / "w" / f"{name}.ckpt", weights_only=True)["state_dict"]
        saved = load_file(tmp_path / source / "model.safetensors")
        assert weights.keys() == saved.keys() and all(torch.equal(weights[key], saved[key]) for key in saved)
    assert checkpoint["best_epoch"] == int(checkpoint["best_model_path"].rsplit("-", 1)[1]) / 6
    with (tmp_path / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows if row["loss"]] == ["3", "6", "9", "12", "15", "18"]
    assert [row["epoch"] for row in rows if row["eval_loss"]] == ["1.0", "2.0", "3.0", "3.0"]
    lines = [json.loads(line) for line in (tmp_path / "live.jsonl").read_text().splitlines()]
    assert "setup" in lines[0] and (lines[-1]["epoch"], lines[-1]["steps"]) == (3, 18)


def test_a_stop_is_heard(tmp_path: Path) -> None:
    process = start(tmp_path, 10000, LIVE_FILE="live.jsonl", RECORD_FILE="record.json", STOP_FILE="stop")
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "record.json").exists():
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        (tmp_path / "stop").touch()
        assert process.wait(120) == 0, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
    assert read(tmp_path / "record.json")["ended"]["by"] == "stop request"


def test_what_was_stopped_goes_on_at_its_step(tmp_path: Path) -> None:
    files = {"LIVE_FILE": "live.jsonl", "RECORD_FILE": "record.json", "STOP_FILE": "stop"}
    (tmp_path / "stop").touch()
    assert start(tmp_path, 10000, **files, GO_ON_FILE="going_on.ckpt").wait(120) == 0, (tmp_path / "log").read_text()
    steps = read(tmp_path / "record.json")["ended"]["steps"]
    saved = tmp_path / f"runs/checkpoint-{steps}"
    assert (saved / "trainer_state.json").is_file()
    (tmp_path / "stop").unlink()
    (tmp_path / "live.jsonl").unlink()
    epochs = steps // 6 + 2
    again = start(tmp_path, epochs, **files, RESUME_FROM=f"runs/checkpoint-{steps}")
    assert again.wait(120) == 0, (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in (tmp_path / "live.jsonl").read_text().splitlines()]
    assert next(line["step"] for line in lines if "step" in line) >= steps
    assert read(tmp_path / "record.json")["ended"] == {"by": "max_epochs", "epochs": epochs, "steps": epochs * 6}
