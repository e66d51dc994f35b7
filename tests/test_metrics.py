"""Which way a metric is better."""

from __future__ import annotations

import pytest

from progtrain.engine import metrics


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("accuracy", True),
        ("MulticlassAccuracy", True),
        ("val/F1Score", True),
        ("R2Score", True),
        ("AUROC", True),
        ("val_loss", False),
        ("MeanSquaredError", False),
        ("valid_RMSE", False),
        ("word-error-rate", False),
        ("zorkness", None),
    ],
)
def test_well_known_names_in_any_spelling(name: str, higher: bool | None) -> None:
    assert metrics.higher_is_better(name) is higher


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("val_accuracy", "accuracy", True),
        ("val/acc", "accuracy", True),
        ("valAccuracy", "Accuracy", True),
        ("f1-score", "f1", True),
        ("val_l1", "mae", True),
        ("l2", "MeanSquaredError", True),
        ("r2score", "r2", True),
        ("macro_f1", "f1_macro", True),
        ("f1", "f1_macro", False),
        ("MulticlassAccuracy", "accuracy", True),
        ("val_loss", "loss", True),
        ("train_loss", "loss", False),
        ("test_accuracy", "accuracy", False),
        ("recall@5", "recall_5", False),
        ("val_f1_α", "val_f1_β", False),
        ("val_F1/猫", "val_F1/狗", False),
    ],
)
def test_one_metric_under_many_names(one: str, other: str, alike: bool) -> None:
    assert metrics.same(one, other) is alike


def test_the_very_same_name_goes_before_another_spelling() -> None:
    assert metrics.find("val_loss", ["loss", "val_loss"]) == "val_loss"
    assert metrics.value_of("val/acc", {"loss": 1.0, "accuracy": 0.5}) == 0.5
    assert metrics.value_of("f1", {"loss": 1.0}) is None


def test_the_names_of_torchmetrics_are_known() -> None:
    """Those of classification and regression that give one number."""
    torchmetrics = pytest.importorskip("torchmetrics")
    names = [
        name
        for module in (torchmetrics.classification, torchmetrics.regression)
        for name in module.__all__
        if isinstance(getattr(getattr(module, name), "higher_is_better", None), bool)
    ]
    wrong = {
        name
        for name in names
        if (known := metrics.higher_is_better(name)) is not None
        and known
        is not (
            getattr(torchmetrics.classification, name, None) or getattr(torchmetrics.regression, name)
        ).higher_is_better
    }
    unknown = {name for name in names if metrics.higher_is_better(name) is None}
    assert wrong == set()
    assert unknown == set()
