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
