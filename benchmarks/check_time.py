"""`progtrain check`: what the probe adds to a script's own way to its training, and a project that is only read."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.common import alternate, example, seconds, told, verdict
from progtrain.engine.workspace import Workspace

ROUNDS = 5
MODULES = 19
LINES = 2000


def main() -> None:
    progtrain = str(Path(sys.executable).with_name("progtrain"))
    with example(until="initialize") as ws:
        # to the place where its training would begin, then out as a probe goes
        bare = ws.root / "bare.py"
        text = ws.baseline_script.read_text()
        (line,) = (line for line in text.splitlines() if "trainer.fit(" in line)
        bare.write_text(text.replace(line, line.replace(line.strip(), "import os; os._exit(0)")))
        check = [progtrain, "-C", str(ws.root), "check"]
        alone, probed = alternate(
            ROUNDS, lambda: seconds([sys.executable, bare.name], ws.root), lambda: seconds(check, ws.root)
        )
        told("a script up to its training", alone)
        told("progtrain check, with its probe", probed)
        verdict("check, more than that, medians", statistics.median(probed) - statistics.median(alone), 0.7, " s")
    with tempfile.TemporaryDirectory() as folder:
        ws = make_project(Path(folder))
        command = [progtrain, "-C", folder, "check", "--no-probe"]
        read = [seconds(command, ws.root) for _ in range(ROUNDS)]
        told(f"a project of {LINES:,} lines in {MODULES + 1} files, read", read)
        verdict("the same, median", statistics.median(read), 2.0, " s")


def make_project(root: Path) -> Workspace:
    """A script that imports many modules, each of which imports others of them: nothing reads one of them twice."""
    ws = Workspace(root)
    ws.split("points", "train").mkdir(parents=True)
    ws.split("points", "valid").mkdir()
    for name in ("train", "valid"):
        (ws.split("points", name) / "points.csv").write_text("x,y\n1,2\n")
    ws.stats("points").write_text(json.dumps({"task": "regression"}))
    ws.rules.write_text(json.dumps({"dataset_config": {"dataset_id": "points"}}))
    each = LINES // (MODULES + 1)
    (root / "nets").mkdir()
    for number in range(MODULES):
        others = [f"from nets.net{other} import Net{other}" for other in range(number)]
        head = ["import torch", *others, "", f"class Net{number}(torch.nn.Module):"]
        head += ["    def __init__(self, width=64, dropout=0.1):", "        super().__init__()"]
        body = [f"        self.layer{line} = torch.nn.Linear(width, width)" for line in range(each - len(head))]
        (root / "nets" / f"net{number}.py").write_text("\n".join([*head, *body, ""]))
    imports = "\n".join(f"from nets.net{number} import Net{number}" for number in range(MODULES))
    ws.baseline_script.write_text(_SCRIPT.replace("# nets", imports))
    return ws


_SCRIPT = '''"""Chooses one of many nets."""
import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset
# nets

DATASET_ID = "points"
VERSION = "baseline"
LEARNING_RATE = 1e-3


class Module(L.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, index):
        self.log("val_loss", torch.nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)


def main():
    data = DataLoader(TensorDataset(torch.zeros(8, 64), torch.zeros(8, 64)), batch_size=4)
    L.Trainer(max_epochs=1).fit(Module(Net0()), data, data)


if __name__ == "__main__":
    main()
'''
