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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.96114, "0.9611"), (0.0312, "0.03120"), (0.00031, "0.0003100"), (0.00029, "0.0002900"), (0.0, "0.0000"),
        (0.000031, "3.100e-05"), (52.34123, "52.3412"), (2900.123, "2900.12"), (-0.0312, "-0.03120"),
        (12345.6, "12346"),
    ],
)  # fmt: skip
def test_a_metric_shows_four_digits_that_count(value: float, text: str) -> None:
    assert values.metric(value) == text


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ([0.9611, None, 0.5], ["0.9611", "0.5000"]),
        ([0.9611, 0.00031, 0.00029], ["0.9611000", "0.0003100", "0.0002900"]),
        ([0.03, float("nan"), float("inf"), 0.0], ["0.03000", "0.00000"]),
        ([0.9, 2e-6], ["0.9000", "2.000e-06"]),
    ],
)
def test_the_numbers_of_a_column_line_up(column: list[float | None], shown: list[str]) -> None:
    decimals = values.places(column)
    finite = [value for value in column if value is not None and abs(value) < 1e300]
    assert [values.metric(value, decimals) for value in finite] == shown


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.0139, 4, "+0.0139"), (-0.00002, 7, "-0.0000200"), (0.0139, None, "+0.0139"), (0.00002, None, "+2.000e-05"),
        (0.0002, None, "+0.0002000"), (0.0, None, "+0.0000"), (-150.25, 4, "-150.25"), (150.25, None, "+150.25"),
    ],
)  # fmt: skip
def test_a_change_has_as_many_decimals_as_its_metric(value: float, decimals: int | None, text: str) -> None:
    assert values.change(value, decimals) == text
