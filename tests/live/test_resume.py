"""A training that was cut short goes on at its step; one with nothing to go on from begins anew."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.live.conftest import Run
from tests.live.scripts import NET

FILES = {"RECORD": "record.json", "STOP": "stop", "GO_ON": "going_on.ckpt", "CURVE": "curve.csv"}

#: eight batches an epoch, and a line for each
SCRIPT = (
    NET
    + """
import shutil, time

class Slow(Net):
    def training_step(self, batch, index):
        time.sleep(0.06)
        with open("steps", "a") as file:
            file.write(f"{self.global_step}\\n")
        return super().training_step(batch, index)

shutil.rmtree("out", ignore_errors=True)
saving = ModelCheckpoint("out", "best", monitor="val/loss", save_last=True)
trainer = L.Trainer(max_epochs=2, callbacks=[saving], logger=False, **QUIET)
trainer.fit(Slow(8), DataLoader(data(80), batch_size=10), DataLoader(data(20), batch_size=20))
"""
)


def steps(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "here/steps").read_text().split()]


def stopped(run: Run, folder: Path) -> int:
    """Stops it in the middle of the first epoch. Gives how many steps it has taken."""
    (folder / "out").mkdir()
    (folder / "out/stop").touch()
    code, record, log = run(SCRIPT, **FILES)
    assert (code, record["ended"]["by"], record["faults"]) == (0, "stop request", []), log
    (folder / "out/stop").unlink()
    saved = torch.load(folder / "out/going_on.ckpt", weights_only=False)
    assert saved["global_step"] == len(steps(folder)) < 8
    return len(steps(folder))


def test_what_was_stopped_within_an_epoch_goes_on_with_the_next_batch(run: Run, tmp_path: Path) -> None:
    stopped(run, tmp_path)
    code, record, log = run(SCRIPT, **FILES, more={"PROGTRAIN_RESUME_FROM": str(tmp_path / "out/going_on.ckpt")})
    assert (code, record["ended"]["by"]) == (0, "max_epochs"), log
    assert "going on from" in log
    assert steps(tmp_path) == list(range(16))


def test_a_job_that_a_cluster_starts_again_goes_on_by_itself(run: Run, tmp_path: Path) -> None:
    stopped(run, tmp_path)
    code, record, log = run(SCRIPT, **FILES, more={"SLURM_RESTART_COUNT": "1"})
    assert (code, record["ended"]["by"]) == (0, "max_epochs"), log
    assert steps(tmp_path) == list(range(16))
    assert (tmp_path / "out/curve_before000.csv").is_file() and (tmp_path / "out/best_before.ckpt").is_file()
    # and once more, when it was killed: from what its own callback saved, at the end of an epoch
    assert not (tmp_path / "out/going_on.ckpt").exists()
    code, record, log = run(SCRIPT, **FILES, more={"SLURM_RESTART_COUNT": "2"})
    assert code == 0 and steps(tmp_path)[16:] in ([], list(range(8, 16))), log


def test_with_nothing_whole_to_go_on_from_it_begins_anew(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    torn = tmp_path / "out/going_on.ckpt"
    torn.write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "out/record.json").write_text('{"fit": 1, "checkpoints": [{"last_model_path": "out/gone.ckpt"}]}')
    code, _, log = run(SCRIPT, **FILES, more={"SLURM_RESTART_COUNT": "1"})
    assert code == 0 and "going on from" not in log, log
    assert steps(tmp_path) == list(range(16))
