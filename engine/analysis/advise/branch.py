"""Which version the next one is made from."""

from __future__ import annotations

from collections.abc import Sequence

from progtrain.engine import metrics
from progtrain.engine.analysis.types import VersionRecord


def branch_record(records: Sequence[VersionRecord], branch_from: str, higher_is_better: bool) -> VersionRecord | None:
    """By the rules' `branch_from`; None: the latest, or there is none to compare.

    "best" is the best by the primary metric. "proven" goes from there back to the last version that was not found worse
    than, or within the noise of, what it was made from: what cannot be told from chance is no reason to build on it.
    """
    if branch_from == "latest":
        return None
    known = {record.version: record for record in records}
    comparable = [record for record in records if record.comparable]
    top = metrics.best(comparable, lambda record: record.primary, higher_is_better)
    if branch_from == "best":
        return top
    seen = set[str]()
    while top is not None and top.outcome in ("within noise", "worse") and top.version not in seen:
        seen.add(top.version)
        before = known.get(top.base or "")
        if before is None:
            return top
        top = before
    return top
