"""Training rows whose label is probably wrong: the confident joint.

C. Northcutt, L. Jiang and I. Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, Journal of
Artificial Intelligence Research 70, 2021.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean
from typing import Any

from progtrain.engine.additions.hard import Hard
from progtrain.engine.additions.tools.progtrain_additions_rows import Rows

#: a model that has hardly learned anything takes no row for anything
_LIKELY = 0.5
#: of probabilities that are read from a table
_ROUNDING = 1e-6


def places(hard: Hard) -> list[int]:
    """Of rows that are taken for another class as surely as rows with that label are, the surest first.

    None where the target is a number. A class that is less likely than all others together is never called likely.
    """
    own = defaultdict(list)
    for given, chance in zip(hard.given, hard.of_given, strict=True):
        own[given].append(chance)
    usual = {label: fmean(chances) for label, chances in own.items()}
    found = [
        (hard.of_given[at] - sure, at)
        for at, (given, said, sure) in enumerate(zip(hard.given, hard.said, hard.of_said, strict=True))
        if said != given and said in usual and sure >= max(usual[said] - _ROUNDING, _LIKELY)
    ]
    return [at for _, at in sorted(found)]


def listed(hard: Hard, rows: Rows) -> list[dict[str, Any]]:
    """Of each suspect: `id`, `label` as it is, `likely` as it may be, and both probabilities."""
    return [
        {
            "id": rows.ids[at],
            "label": hard.classes[hard.given[at]],
            "likely": hard.classes[hard.said[at]],
            "of_label": round(hard.of_given[at], 4),
            "of_likely": round(hard.of_said[at], 4),
        }
        for at in places(hard)
    ]
