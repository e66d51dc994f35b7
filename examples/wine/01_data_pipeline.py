"""Prepares the wines of scikit-learn: 178 wines from three cultivars, 13 chemical measurements each.

    python 01_data_pipeline.py

Writes dataset/prepdata/wine_v1/{stats.json,train/,valid/,test/,common/}. Each split is one wine.csv with `id`,
the 13 measurements in their own units, and `cultivar`.
"""

import json
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

DATASET_ID = "wine_v1"
SEED = 7
VALID_SHARE = 0.4  # the set is small: fewer samples could not tell two versions apart
TEST_SHARE = 0.15


def make_splits(wines: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Stratified by cultivar, and the same in every run."""
    rest, test = train_test_split(wines, test_size=TEST_SHARE, stratify=wines["cultivar"], random_state=SEED)
    valid_share = VALID_SHARE / (1 - TEST_SHARE)
    train, valid = train_test_split(rest, test_size=valid_share, stratify=rest["cultivar"], random_state=SEED)
    return {"train": train.sort_index(), "valid": valid.sort_index(), "test": test.sort_index()}


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    source = load_wine(as_frame=True)
    features = source.data.rename(columns={"od280/od315_of_diluted_wines": "od280_od315"})
    wines = features.assign(cultivar=source.target)
    wines.insert(0, "id", [f"wine-{i:03d}" for i in range(len(wines))])
    out = Path("dataset/prepdata") / DATASET_ID

    splits = {}
    for name, frame in make_splits(wines).items():
        (out / name).mkdir(parents=True, exist_ok=True)
        frame.to_csv(out / name / "wine.csv", index=False)
        counts = frame["cultivar"].value_counts().sort_index()
        splits[name] = {"num_samples": len(frame), "per_class": {str(c): int(n) for c, n in counts.items()}}
        print(f"{name}: {len(frame)} wines")

    train = pd.read_csv(out / "train" / "wine.csv")
    described = {
        name: {"mean": round(float(train[name].mean()), 4), "std": round(float(train[name].std()), 4)}
        for name in features.columns
    }
    write_json(out / "common" / "features.json", list(features.columns))
    stats = {
        "dataset_id": DATASET_ID,
        "source": "sklearn.datasets.load_wine",
        "task_type": "classification",
        "num_classes": 3,
        "class_names": ["cultivar 0", "cultivar 1", "cultivar 2"],
        "features": described,
        "split_seed": SEED,
        "splits": splits,
    }
    write_json(out / "stats.json", stats)
    print(f"written: {out}")


if __name__ == "__main__":
    main()
