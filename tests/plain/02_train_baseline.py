"""Logistic regression by hand, as somebody without a framework would write it."""

import csv
import json
import math
import os
import random
import time
from pathlib import Path

DATASET_ID = "toy_v1"
VERSION = "baseline"
SEED = 42
LEARNING_RATE = 0.02
EPOCHS = 6
BATCH_SIZE = 16
WEIGHT_DECAY = 0.0

DATA = Path("dataset/prepdata") / DATASET_ID
ARTIFACTS = Path("Models/Artifacts") / VERSION


def load_split(split):
    """Sample ids, raw inputs and targets of a split."""
    with (DATA / split / "data.csv").open() as file:
        return [(row["id"], [float(row["x"]), float(row["y"])], int(row["label"])) for row in csv.DictReader(file)]


def predict(weights, raw):
    score = weights[0] + sum(w * x for w, x in zip(weights[1:], raw))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def loss_of(weights, samples):
    total = 0.0
    for _, raw, label in samples:
        p = min(1 - 1e-9, max(1e-9, predict(weights, raw)))
        total -= math.log(p if label else 1 - p)
    return total / len(samples)


def main():
    random.seed(SEED)
    train, valid = load_split("train"), load_split("valid")
    weights, best = [0.0, 0.0, 0.0], (math.inf, None)
    logs = ARTIFACTS / "logs" / "version_0"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "hparams.yaml").write_text(f"learning_rate: {LEARNING_RATE}\nepochs: {EPOCHS}\nbatch_size: {BATCH_SIZE}\n")
    with Path(os.environ.get("COUNT_FILE", os.devnull)).open("a") as file:
        file.write(f"{VERSION}\n")
    with (logs / "metrics.csv").open("w") as log:
        log.write("epoch,step,train_loss,val_loss,val_acc\n")
        for epoch in range(EPOCHS):
            random.shuffle(train)
            for start in range(0, len(train), BATCH_SIZE):
                batch = train[start : start + BATCH_SIZE]
                gradient = [0.0, 0.0, 0.0]
                for _, raw, label in batch:
                    error = predict(weights, raw) - label
                    for i, x in enumerate([1.0, *raw]):
                        gradient[i] += error * x / len(batch)
                weights = [w - LEARNING_RATE * (g + WEIGHT_DECAY * w) for w, g in zip(weights, gradient)]
            val_loss = loss_of(weights, valid)
            hits = sum((predict(weights, raw) > 0.5) == bool(label) for _, raw, label in valid)
            log.write(f"{epoch},{epoch},{loss_of(weights, train):.6f},{val_loss:.6f},{hits / len(valid):.6f}\n")
            log.flush()
            time.sleep(float(os.environ.get("SECONDS_PER_EPOCH", "0")))
            while epoch and not Path(os.environ.get("GO_ON", os.devnull)).exists():
                time.sleep(0.05)
            if val_loss < best[0]:
                best = (val_loss, list(weights))
                (ARTIFACTS / "best.ckpt").write_text(json.dumps(best[1]))
            print(f"epoch {epoch + 1}/{EPOCHS} val_loss {val_loss:.4f}")
    (ARTIFACTS / "last.ckpt").write_text(json.dumps(weights))
    (ARTIFACTS / "spec.json").write_text(json.dumps({"epochs": EPOCHS, "batch_size": BATCH_SIZE}))


if __name__ == "__main__":
    main()
