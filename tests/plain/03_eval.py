"""An evaluator of the user's own: there already, hence used as it is."""

import argparse
import csv
import hashlib
import importlib.util
import json
import math
import time
from datetime import datetime, timezone
from pathlib import Path


def sha(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", required=True)
    version = parser.parse_args().version
    spec = importlib.util.spec_from_file_location("training", f"02_train_{version}.py")
    training = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(training)
    folder = Path("Models/Artifacts") / version
    weights = json.loads((folder / "best.ckpt").read_text())
    samples = training.load_split("valid")
    rows, seconds = [], []
    for sample_id, raw, label in samples:
        begun = time.perf_counter()
        p = training.predict(weights, raw)
        seconds.append(time.perf_counter() - begun)
        guess = int(p > 0.5)
        loss = -math.log(max(1e-9, p if label else 1 - p))
        rows.append([sample_id, label, guess, int(guess == label), f"{loss:.6f}", int(guess == label), max(p, 1 - p)])
    (folder / "_eval").mkdir(exist_ok=True)
    with (folder / "_eval" / "per_sample.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample_id", "truth", "prediction", "correct", "loss", "part__accuracy", "confidence"])
        writer.writerows(rows)
    for number, (sample_id, raw, label) in enumerate(samples[:3], 1):
        target = folder / "infer_samples" / f"{number:04d}"
        target.mkdir(parents=True, exist_ok=True)
        (target / "input.json").write_text(json.dumps(raw))
        (target / "output.json").write_text(json.dumps({"prediction": rows[number - 1][2]}))
        (target / "meta.json").write_text(json.dumps({"sample_id": sample_id, "right": bool(rows[number - 1][3])}))
    now = datetime.now(timezone.utc).isoformat()
    protocol = {
        "evaluator_sha256": sha("03_eval.py"),
        "data_sha256": sha(training.DATA / "valid" / "data.csv"),
        "checkpoint_sha256": sha(folder / "best.ckpt"),
        "script_sha256": sha(f"02_train_{version}.py"),
        "seed": 42,
        "split": "valid",
        "num_samples": len(rows),
        "created_at": now,
        "task": "classification",
    }
    (folder / "_eval" / "protocol.json").write_text(json.dumps(protocol))
    score = {
        "dataset_id": training.DATASET_ID,
        "created_at": now,
        "num_samples": len(rows),
        "metrics": [
            {"name": "loss", "value": sum(float(r[4]) for r in rows) / len(rows), "higher_is_better": False},
            {"name": "accuracy", "value": sum(r[3] for r in rows) / len(rows), "higher_is_better": True},
        ],
        "latency_ms": 1000 * sorted(seconds)[len(seconds) // 2],
    }
    (folder / "eval_score.json").write_text(json.dumps(score))


if __name__ == "__main__":
    main()
