"""Two runs as a tracker's own package writes them: `python writers.py TOOL FOLDER`, in the interpreter that has it.

For TensorBoard also `read`: what its own reader finds, as JSON: folder -> tag -> (step, time, value).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

BEGAN, POINTS = 1795744093.25, 1200


def tensorboard(folder):
    from tensorboardX import SummaryWriter

    for name in ("calm", "late"):
        writer = SummaryWriter(str(folder / name))
        for step in range(POINTS):
            writer.add_scalar("val_loss", 1 / (step + 1), step, walltime=BEGAN + step)
            if step % 10 == 0:
                writer.add_scalar("lr", 0.003, step, walltime=BEGAN + step)
        writer.add_text("note", "no number")
        writer.add_histogram("weights", [float(n) for n in range(500)], 1)
        time.sleep(1.1)  # the next file would get the same name
        writer.add_hparams({"learning_rate": 0.003, "optimizer": "adam", "amp": True}, {}, name=".")
        writer.close()


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for place in sorted({path.parent for path in folder.rglob("*tfevents*")}):
        events = EventAccumulator(str(place), size_guidance={"scalars": 0})
        events.Reload()
        found[place.name] = {
            tag: [(point.step, point.wall_time, point.value) for point in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
        }
    sys.stdout.write(json.dumps(found) + "\n")


def mlflow(folder):
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.create_experiment("tries", artifact_location=f"file://{folder}/artifacts")
    for name in ("calm", "late"):
        run = client.create_run(experiment, start_time=1795744093250, run_name=name).info.run_id
        rows = [Metric("val_loss", 1 / (step + 1), 1795744093250 + 1000 * step, step) for step in range(POINTS)]
        rows.append(Metric("odd", float("nan"), 1795744093250, 0))
        for start in range(0, len(rows), 1000):
            client.log_batch(run, metrics=rows[start : start + 1000])
        client.log_batch(run, params=[Param("learning_rate", "0.003"), Param("optimizer", "adam")])
        client.set_terminated(run, "FINISHED", end_time=1795744099250)


def wandb(folder):
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=str(folder), WANDB_CONSOLE="off")
    import wandb as package

    settings = package.Settings(x_disable_stats=True, x_disable_meta=True, disable_git=True, save_code=False)
    for name in ("calm", "late"):
        config = {"learning_rate": 0.003, "optimizer": "adam", "nested": {"width": 8}}
        with package.init(project="tries", name=name, id=f"id-{name}", config=config, settings=settings) as run:
            for step in range(POINTS):
                run.log({"val_loss": 1 / (step + 1), "odd": float("nan"), "_timestamp": BEGAN + step}, step=step)
            run.log({"long": "x" * 100_000}, step=POINTS)
            run.summary.update({"eval/accuracy": 0.91})


def trackio(folder):
    os.environ.update(TRACKIO_DIR=str(folder), HF_HUB_OFFLINE="1")
    from datetime import datetime, timezone

    from trackio.sqlite_storage import SQLiteStorage

    times = [datetime.fromtimestamp(BEGAN + step, timezone.utc).isoformat() for step in range(POINTS)]  # noqa: UP017
    rows = [{"val_loss": 1 / (step + 1), "odd": float("nan")} for step in range(POINTS)]
    config = {"learning_rate": 0.003, "optimizer": "adam"}
    for name in ("calm", "late"):
        SQLiteStorage.bulk_log("tries", name, rows, steps=list(range(POINTS)), timestamps=times, config=config)


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
