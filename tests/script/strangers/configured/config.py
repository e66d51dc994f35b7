# ruff: noqa
# fmt: off
"""Where things are."""

import os

DATA_ROOT = "./data/points"
TRAIN_FILE = os.path.join(DATA_ROOT, "train", "points.npz")
VALID_FILE = os.path.join(DATA_ROOT, "valid", "points.npz")
RUN_DIR = "experiments/first"

EPOCHS = 2
LEARNING_RATE = 0.01
