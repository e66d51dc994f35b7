"""Prepares the diabetes data of scikit-learn: 442 patients, ten measurements, progression after one year.

    python 01_data_pipeline.py

Writes dataset/prepdata/diabetes_v1/{stats.json,train/,valid/,test/,common/}. Each split is one diabetes.csv with
`id`, the ten measurements in their own units, and `progression` (25 to 346).
"""

import json
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

DATASET_ID = "diabetes_v1"
SEED = 7
VALID_SHARE = 0.4  # the set is small: fewer samples could not tell two versions apart
TEST_SHARE = 0.15
STRATA = 5

FULL_NAMES = {
    "age": "age",
    "sex": "sex",
    "bmi": "body_mass_index",
    "bp": "blood_pressure",
    "s1": "total_cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "blood_sugar",
}


def make_splits(patients: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Stratified by fifths of the target, so that each split spans its range, and the same in every run."""
    strata = pd.qcut(patients["progression"], STRATA, labels=False)
    rest, test = train_test_split(patients, test_size=TEST_SHARE, stratify=strata, random_state=SEED)
    valid_share = VALID_SHARE / (1 - TEST_SHARE)
    train, valid = train_test_split(rest, test_size=valid_share, stratify=strata.loc[rest.index], random_state=SEED)
    return {"train": train.sort_index(), "valid": valid.sort_index(), "test": test.sort_index()}


def describe(values: pd.Series) -> dict[str, float]:
    return {"mean": round(float(values.mean()), 4), "std": round(float(values.std()), 4)}


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    source = load_diabetes(as_frame=True, scaled=False)
    features = source.data.rename(columns=FULL_NAMES)
    patients = features.assign(progression=source.target)
    patients.insert(0, "id", [f"patient-{i:03d}" for i in range(len(patients))])
    out = Path("dataset/prepdata") / DATASET_ID

    splits = make_splits(patients)
    for name, frame in splits.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        frame.to_csv(out / name / "diabetes.csv", index=False)
        print(f"{name}: {len(frame)} patients")

    train = splits["train"]
    write_json(
        out / "common" / "scaling.json",
        {"features": {name: describe(train[name]) for name in features}, "target": describe(train["progression"])},
    )
    stats = {
        "dataset_id": DATASET_ID,
        "source": "sklearn.datasets.load_diabetes",
        "task_type": "regression",
        "target": {"name": "progression", **describe(train["progression"])},
        "features": {name: describe(train[name]) for name in features},
        "split_seed": SEED,
        "splits": {name: {"num_samples": len(frame)} for name, frame in splits.items()},
    }
    write_json(out / "stats.json", stats)
    print(f"written: {out}")


if __name__ == "__main__":
    main()
