"""Values of settings and measurements: when two are the same, whoever wrote them, and how one is shown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

_RELATIVE = 1e-9


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
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None


def show(value: object) -> str:
    """A value as a person writes it: 3e-5 rather than 3e-05."""
    return re.sub(r"e([+-])0+(?=\d)", lambda m: "e" + m[1].replace("+", ""), str(value))


def ramp(value: float | None, none: float, all_: float) -> float:
    """0 at `none`, 1 at `all_`, straight in between, cut outside; 0 for an unknown value. `none` may be larger."""
    if value is None:
        return 0.0
    return max(0.0, min(1.0, (value - none) / (all_ - none)))
