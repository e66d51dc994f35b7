"""A stop request reaches every process of a training on the same batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

LIVE = Path(__file__).parents[2] / "engine" / "live"

#: Two processes on the CPU; the second one is a little behind at each batch's end.
SCRIPT = """
import os, time, torch
from {package} import Trainer, LightningModule, Callback

class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, index):
        return self.layer(batch[0]).pow(2).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)

class Late(Callback):
    def on_after_backward(self, trainer, module):
        # after the gradients were exchanged: the other process ends this batch, and finds the file, or not, without it
        time.sleep(0.4 * trainer.global_rank)

if __name__ == "__main__":
    data = torch.utils.data.TensorDataset(torch.randn(80, 2))
    trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=-1, callbacks=[Late()], logger=False,
                      enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Net(), torch.utils.data.DataLoader(data, batch_size=2))
    open(f"rank{{trainer.global_rank}}", "w").write(str(trainer.global_step))
"""


@pytest.mark.parametrize("package", ["lightning.pytorch", pytest.param("pytorch_lightning", marks=pytest.mark.slow)])
def test_two_processes_end_at_the_same_step(tmp_path: Path, package: str) -> None:
    pytest.importorskip(package)
    (tmp_path / "script.py").write_text(SCRIPT.format(package=package))
    live, stop = tmp_path / "live.jsonl", tmp_path / "stop"
    environment = {
        **os.environ,
        "PYTHONPATH": str(LIVE),
        "PROGTRAIN_LIVE_FILE": str(live),
        "PROGTRAIN_STOP_FILE": str(stop),
        "PROGTRAIN_RECORD_FILE": str(tmp_path / "record.json"),
        "PROGTRAIN_CURVE_FILE": str(tmp_path / "curve.csv"),
        "OMP_NUM_THREADS": "1",
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "script.py"], cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while _steps(live) < 4:
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        stop.touch()
        assert process.wait(timeout=60) == 0, (tmp_path / "log").read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()
    ended = [int((tmp_path / f"rank{rank}").read_text()) for rank in (0, 1)]
    assert ended[0] == ended[1] >= 4
    record = json.loads((tmp_path / "record.json").read_text())
    assert (record["ended"]["by"], record["ended"]["steps"]) == ("stop request", ended[0])
    assert (record["framework"], record["trainer"]["devices"]) == (package.split(".")[0], 2)
    assert record["faults"] == [] and record["loaders"]["train"][0]["samples"] == 80


def _steps(live: Path) -> int:
    lines = live.read_text().splitlines() if live.exists() else []
    return max((json.loads(line).get("step", 0) for line in lines), default=0)
