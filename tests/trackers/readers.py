"""What a tracker's own reader finds, as JSON: `python readers.py TOOL PLACE`, in the interpreter that has the tracker.

For each run: id, base, params, results, origin, and points of each curve as (step, milliseconds, value).
"""

from __future__ import annotations

import glob
import json
import os
import struct
import sys
from datetime import datetime


def tensorboard(place):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    for folder in sorted(glob.glob(place + "/v*")):
        read = EventAccumulator(folder, size_guidance={"scalars": 0})
        read.Reload()
        content = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        hparams = metadata.parse_session_start_info_plugin_data(content).hparams
        curves = {
            tag: [(p.step, round(p.wall_time * 1000), p.value) for p in read.Scalars(tag)]
            for tag in read.Tags()["scalars"]
        }
        table = read.Tensors("run")[0].tensor_proto.string_val[0].decode()
        told = dict(line.strip("| ").split(" | ", 1) for line in table.splitlines()[2:] if " | " in line.strip("| "))
        yield {
            "id": told["run"],
            "base_id": told.get("base_run", ""),
            "params": {name: getattr(value, value.WhichOneof("kind")) for name, value in hparams.items()},
            "final": {tag[5:]: curves.pop(tag)[-1][2] for tag in list(curves) if tag.startswith("eval/")},
            "lineage": read.Tensors("lineage")[0].tensor_proto.string_val[0].decode(),
            "curves": curves,
            "artifacts": [name for name in os.listdir(folder) if "." in name and "tfevents" not in name],
        }


def mlflow(place):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=place)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    own = {run.info.run_id: run.data.tags["progtrain.id"] for run in runs}
    for run in runs:
        names = [name for name in run.data.metrics if not name.startswith("eval/")]
        history = {name: client.get_metric_history(run.info.run_id, name) for name in names}
        yield {
            "id": run.data.tags["progtrain.id"],
            "base_id": own.get(run.data.tags.get("mlflow.parentRunId"), ""),
            "params": run.data.params,
            "final": {name[5:]: value for name, value in run.data.metrics.items() if name.startswith("eval/")},
            "lineage": run.data.tags["mlflow.note.content"],
            "curves": {n: [(p.step, p.timestamp, p.value) for p in points] for n, points in history.items()},
            "artifacts": [artifact.path for artifact in client.list_artifacts(run.info.run_id)],
            "status": run.info.status,
            "latest": {name: run.data.metrics[name] for name in names},
            "times": [run.info.start_time, run.info.end_time],
        }


def trackio(place):
    os.environ["TRACKIO_DIR"] = place
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    project = os.path.splitext(os.path.basename(glob.glob(place + "/*.db")[0]))[0]
    for run in trackio.Api().runs(project):
        curves = {}
        for row in SQLiteStorage.get_logs(project, run.name, run_id=run.id):
            at = round(datetime.fromisoformat(row.pop("timestamp")).timestamp() * 1000)
            step = row.pop("step")
            for name, value in row.items():
                curves.setdefault(name, []).append((step, at, value))
        config = dict(run.config)
        yield {
            "id": run.id,
            "base_id": config["base_id"] or "",
            "params": config,
            "final": {name[5:]: curves.pop(name)[-1][2] for name in list(curves) if name.startswith("eval/")},
            "lineage": config["lineage"],
            "curves": curves,
        }


def _records(path, block=32768):
    """Of wandb's log: blocks as LevelDB has them, records as protobuf. Its own reader in Python is gone."""
    from wandb.proto import wandb_internal_pb2

    data = open(path, "rb").read()
    at, part = 7, b""
    while at + 7 <= len(data):
        left = block - at % block
        _, size, kind = struct.unpack("<IHB", data[at : at + 7]) if left >= 7 else (0, 0, 0)
        if kind == 0:
            at += left
            continue
        part += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(part)
            part = b""
            yield record


def wandb(place):
    for path in sorted(glob.glob(place + "/wandb/offline-run-*/*.wandb")):
        run, curves, summary = None, {}, {}
        for record in _records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                run = record.run
            elif kind == "summary":
                summary.update(
                    {u.key or ".".join(u.nested_key): json.loads(u.value_json) for u in record.summary.update}
                )
            elif kind == "history":
                row = {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
                for name in row.keys() - {"step", "_timestamp", "_step", "_runtime"}:
                    curves.setdefault(name, []).append((row["step"], round(row["_timestamp"] * 1000), row[name]))
        config = {u.key: json.loads(u.value_json) for u in run.config.update}
        files = os.path.join(os.path.dirname(path), "files")
        yield {
            "id": run.run_id,
            "base_id": config["base_id"] or "",
            "params": config,
            "final": {name[5:]: value for name, value in summary.items() if name.startswith("eval/")},
            "lineage": run.notes,
            "curves": curves,
            "artifacts": os.listdir(files),
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(list(globals()[sys.argv[1]](sys.argv[2]))))
