"""When two values of a setting are the same."""

from __future__ import annotations

import pytest

from progtrain.engine import values


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ([64, 32], [64, 32], True),
        ([64, 32], (64, 32.0), True),
        ([64, 32], [32, 64], False),
        ([64, 32], [64, 32, 16], False),
        ([[3, 3], [5, 5]], [[3, 3], [5, 5]], True),
        ({"name": "sgd", "lr": 0.1}, {"lr": 0.1, "name": "sgd"}, True),
        ({"lr": 0.1}, {"lr": 0.2}, False),
        (1, 1.0, True),
        (True, 1, False),
        (True, True, True),
        (0.1 + 0.2, 0.3, True),
        ("1e-3", 0.001, True),
        ("adam", "adam", True),
        ("adam", "sgd", False),
        ("adam", ["adam"], False),
        (None, None, True),
        (None, 0, False),
        (float("nan"), float("nan"), True),
        (10**400, 10**400, True),
    ],
)
def test_the_same_value_however_it_is_written(one: object, other: object, alike: bool) -> None:
    assert values.same(one, other) is alike
    assert values.same(other, one) is alike
