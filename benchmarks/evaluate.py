"""(h) An evaluation beside the framework's own validation, with many images that are made as they are asked for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import ENVIRONMENT, verdict
from progtrain.engine.loop.steps.evaluate import ensure_script
from progtrain.engine.workspace import Workspace

IMAGES = 50_000
#: As the evaluator takes them one by one.
SINGLES = 2000

_SCRIPT = f"""
import sys, time
import lightning as L
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

DATASET_ID = "made"

class Images(Dataset):
    def __len__(self):
        return {IMAGES}
    def __getitem__(self, n):
        return torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(n)), n % 10

class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 5, 2), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 5, 2),
            torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(32, 10))
    def forward(self, x):
        return self.net(x)
    def training_step(self, batch, i):
        return F.cross_entropy(self(batch[0]), batch[1])
    def validation_step(self, batch, i):
        out = self(batch[0])
        self.log("val/loss", F.cross_entropy(out, batch[1]))
        self.log("val/acc", (out.argmax(1) == batch[1]).float().mean())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

def main():
    torch.manual_seed(0)
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False,
                        enable_checkpointing=False, enable_model_summary=False)
    net, loader = Net(), DataLoader(Images(), batch_size=64)
    if "--validate" in sys.argv:
        begun = time.perf_counter()
        trainer.validate(net, loader, verbose=False)
        whole = time.perf_counter() - begun
        few = DataLoader(torch.utils.data.Subset(Images(), range({SINGLES})), batch_size=1)
        begun = time.perf_counter()
        trainer.validate(net, few, verbose=False)
        print(whole, time.perf_counter() - begun)
    elif "--save" in sys.argv:
        torch.save({{"state_dict": net.state_dict()}}, "Models/Artifacts/v001/best.ckpt")
    else:
        trainer.fit(net, loader, loader)

if __name__ == "__main__":
    main()
"""


def _measure(*command: str, cwd: Path) -> tuple[str, float, float]:
    """What it prints, its seconds, and its largest memory in MiB."""
    told = "import resource, subprocess, sys; r = subprocess.run(sys.argv[1:]).returncode; "
    told += "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024); sys.exit(r)"
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", told, sys.executable, *command],
        cwd=cwd, env=ENVIRONMENT, check=True, text=True, capture_output=True,
    )  # fmt: skip
    said, _, peak = done.stdout.rpartition("peak ")
    return said, time.perf_counter() - begun, float(peak)


def main() -> None:
    ws = Workspace(Path(tempfile.mkdtemp(prefix="progtrain-bench-")))
    try:
        ensure_script(ws.eval_script)
        script = ws.script("v001")
        script.write_text(_SCRIPT)
        ws.version("v001").path.mkdir(parents=True)
        ws.rules.write_text(json.dumps({"eval_config": {"metrics": ["accuracy", "f1"]}}))
        _, starting, _ = _measure(script.name, "--save", cwd=ws.root)
        said, _, own_peak = _measure(script.name, "--validate", cwd=ws.root)
        whole, singles = map(float, said.split())
        _, took, peak = _measure(ws.eval_script.name, "--version", "v001", cwd=ws.root)
        took -= starting  # imports and the script's own beginning, which both have
        print(
            f"trainer.validate: {IMAGES} images {whole:.1f} s, {SINGLES} one by one {singles:.1f} s, {own_peak:.0f} MiB"
        )
        print(f"03_eval.py: {took:.1f} s without the {starting:.1f} s of imports, {peak:.0f} MiB")
        verdict("seconds over validate and samples alone", took / (whole + singles), 1.3)
        verdict("memory over validate", peak / own_peak, 1.2)
    finally:
        shutil.rmtree(ws.root)
