"""Values of settings and measurements: when two are the same, whoever wrote them, and how one is shown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

_RELATIVE = 1e-9
#: what may spell a number; a union written at its use would be made anew each time, and logs hold millions of numbers
_SPELLING = (int, float, str)
#: a metric below this is written as 3.1e-05
_SMALLEST = 1e-4


def same(one: object, other: object) -> bool:
    """Numbers within rounding, lists and tuples item by item, mappings key by key.

    Text that spells a number is that number, since YAML 1.1 reads `1e-3` as text. True is not 1.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return bool(one == other) or _same_numbers(number(one), number(other))


def _same_numbers(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return False
    return math.isclose(one, other, rel_tol=_RELATIVE) or (math.isnan(one) and math.isnan(other))


def number(value: object) -> float | None:
    """What a number or a text spells; None for what is no number."""
    try:
        return float(value) if isinstance(value, _SPELLING) else None
    except (ValueError, OverflowError):
        return None


def show(value: object) -> str:
    """A value as a person writes it: 3e-5 rather than 3e-05."""
    return re.sub(r"e([+-])0+(?=\d)", lambda m: "e" + m[1].replace("+", ""), str(value))


def places(numbers: Iterable[float | None]) -> int:
    """How many decimals a column of metrics is written with: 4, and up to 7 where less would hide a digit of a small
    one's first four (0.00031 and 0.00029 differ)."""
    sizes = [abs(value) for value in numbers if value is not None and _SMALLEST <= abs(value) < 0.1]
    return 3 - math.floor(math.log10(min(sizes))) if sizes else 4


def metric(value: float, decimals: int | None = None) -> str:
    """A finite measurement to at least four digits that count: 0.9611, 0.0003120, 2900.12, 3.100e-05. `decimals`: of
    its column, so that numbers below each other line up."""
    size = abs(value)
    if size >= 100:
        return f"{value:.2f}" if size < 10_000 else f"{value:.0f}"
    if 0 < size < _SMALLEST:
        return f"{value:.3e}"
    return f"{value:.{decimals or places([value])}f}"


def change(value: float, decimals: int | None = None) -> str:
    """A difference of metrics with its sign, in as many decimals as the metric is written with."""
    size = abs(value)
    if size >= 100 or (decimals is None and 0 < size < _SMALLEST):
        return f"{'+' if value > 0 else ''}{metric(value)}"
    return f"{value:+.{decimals or (4 if size >= 5 * _SMALLEST else places([value]))}f}"


def ramp(value: float | None, none: float, all_: float) -> float:
    """0 at `none`, 1 at `all_`, straight in between, cut outside; 0 for an unknown value. `none` may be larger."""
    if value is None:
        return 0.0
    return max(0.0, min(1.0, (value - none) / (all_ - none)))


def within(held: Any, *names: str) -> Mapping[str, Any]:
    """The object that lies under these names of objects in each other, in what others wrote; empty where none does."""
    for name in names:
        held = held.get(name) if isinstance(held, Mapping) else None
    return held if isinstance(held, Mapping) else {}
