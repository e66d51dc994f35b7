"""Trains scripts one after the other in this process, loads what they saved, and reports what went wrong.

Run as a child of the tests: `python train_scripts.py jobs.json`, a list of {script, folder, shape}.
"""

import json
import os
import runpy
import sys
import traceback
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch


def train(script: str, folder: str, shape: list[int]) -> dict[str, object]:
    Path(folder).mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    sys.argv = [script]
    names = runpy.run_path(script, run_name="__main__")
    module = next(
        value
        for value in names.values()
        if isinstance(value, type) and issubclass(value, pl.LightningModule) and value is not pl.LightningModule
    )
    artifacts = Path("Models/Artifacts/v001")
    model = module.load_from_checkpoint(artifacts / "best.ckpt", map_location="cpu").eval()
    with torch.no_grad():
        output = model(torch.rand(*shape).mul(50))
    rows = (artifacts / "logs/version_0/metrics.csv").read_text().splitlines()
    return {
        "finite": bool(torch.isfinite(output).all()),
        "rows": len(rows),
        "last": (artifacts / "last.ckpt").exists(),
        "std": [float(v) for v in model.standardise.std.flatten()] if hasattr(model, "standardise") else None,
    }


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for job in json.loads(Path(sys.argv[1]).read_text()):
        try:
            result = train(job["script"], job["folder"], job["shape"])
        except BaseException:  # noqa: BLE001 - whatever a script raises is the result
            result = {"error": traceback.format_exc()[-2000:]}
        (Path(job["folder"]) / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
