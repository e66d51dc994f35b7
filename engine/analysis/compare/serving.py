"""What answered the samples of a model: its checkpoint, an external model, or what that says itself (a router, a
fallback); and whether two models may be compared in this respect.

Light: the standard library alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progtrain.engine import metrics
from progtrain.engine.files import object_in
from progtrain.engine.text import clean_line

if TYPE_CHECKING:
    from progtrain.engine.analysis.measure.samples import PerSample

#: path -> its share of all samples; what is missing to 1 has no answer. Empty where nobody says so, as in evaluations
#: of an earlier kind
Shares = Mapping[str, float]

#: what answers for a version
CHECKPOINT = "checkpoint"
#: metric: the share of the samples that have an answer
ANSWERED = "answered"


def shares_of(samples: PerSample) -> Shares:
    """By the rows, those with an answer."""
    if not any(samples.served_by):
        return {}
    errors = samples.error or [""] * len(samples)
    found = Counter(path for path, error in zip(samples.served_by, errors, strict=True) if path and not error)
    return {path: count / len(samples) for path, count in found.most_common()}


def shares_in(told: Any) -> Shares:
    """Of `served_by` in a `protocol.json`."""
    named = told.items() if isinstance(told, Mapping) else ()
    known = {clean_line(str(path)): metrics.finite(share) for path, share in named}
    return {path: share for path, share in known.items() if share}


def read(protocol: Path) -> Shares:
    return shares_in(object_in(protocol).get("served_by"))


def is_mixed(shares: Shares) -> bool:
    """More than one path answered: its numbers are of no one model."""
    return len(shares) > 1


def told(shares: Shares) -> str:
    """`router 90 %, fallback 10 %`, the largest first, then what has no answer."""
    parts = [f"{path} {percent(share)}" for path, share in sorted(shares.items(), key=lambda item: -item[1])]
    without = 1 - sum(shares.values())
    return ", ".join([*parts, *([f"no answer {percent(without)}"] if without > 1e-9 else [])])


def percent(share: float) -> str:
    """Never 0 % of something, nor 100 % of less than all."""
    whole = 100 * share
    rounded = f"{whole:.0f}"
    return f"{whole:.1f} %" if rounded in ("0", "100") and rounded != f"{whole:.6g}" else f"{rounded} %"


def confounded(name: str, mine: Shares, other: str, theirs: Shares) -> str:
    """Why a difference of the two would be no difference of models: "serving (...)"; empty where nothing is in the way.

    A version is what its checkpoint says, an external model what its one path says: these may be compared as they are,
    unless both have the same name, which makes them one model in two servings.
    """
    mixed = [f"{who} is mixed: {told(shares)}" for who, shares in ((name, mine), (other, theirs)) if is_mixed(shares)]
    if mixed:
        return f"serving ({'; '.join(mixed)})"
    same = name.rpartition("/")[2] == other.rpartition("/")[2]
    if same and mine and theirs and set(mine) != set(theirs):
        return f"serving ({name} by {', '.join(mine)}, {other} by {', '.join(theirs)})"
    return ""
