"""Prepares the handwritten digits of scikit-learn: 1,797 grey images of 8x8 pixels, ten classes.

    python 01_data_pipeline.py

Writes dataset/prepdata/digits_v1/{stats.json,train/,valid/,test/,common/}. Each split is one digits.npz with
`ids`, `images` (uint8, 0 to 255) and `labels`.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

DATASET_ID = "digits_v1"
SEED = 7
VALID_SHARE = 0.3  # large on purpose: 539 samples tell a difference of two points from noise
TEST_SHARE = 0.2


def split_indices(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Stratified, and the same in every run."""
    everything = np.arange(len(labels))
    rest, test = train_test_split(everything, test_size=TEST_SHARE, stratify=labels, random_state=SEED)
    valid_share = VALID_SHARE / (1 - TEST_SHARE)
    train, valid = train_test_split(rest, test_size=valid_share, stratify=labels[rest], random_state=SEED)
    return {"train": np.sort(train), "valid": np.sort(valid), "test": np.sort(test)}


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    source = load_digits()
    images = np.round(source.images * (255 / 16)).astype(np.uint8)
    labels = source.target.astype(np.int64)
    out = Path("dataset/prepdata") / DATASET_ID

    splits = {}
    for name, index in split_indices(labels).items():
        (out / name).mkdir(parents=True, exist_ok=True)
        ids = np.array([f"digit-{i:04d}" for i in index])
        np.savez_compressed(out / name / "digits.npz", ids=ids, images=images[index], labels=labels[index])
        splits[name] = {
            "num_samples": len(index),
            "per_class": {str(c): int((labels[index] == c).sum()) for c in range(10)},
        }
        print(f"{name}: {len(index)} images")

    class_names = [str(digit) for digit in range(10)]
    write_json(out / "common" / "class_names.json", class_names)
    stats = {
        "dataset_id": DATASET_ID,
        "source": "sklearn.datasets.load_digits",
        "task_type": "classification",
        "num_classes": 10,
        "class_names": class_names,
        "input": {"kind": "image", "shape": [8, 8], "dtype": "uint8", "range": [0, 255]},
        "split_seed": SEED,
        "splits": splits,
    }
    write_json(out / "stats.json", stats)
    print(f"written: {out}")


if __name__ == "__main__":
    main()
