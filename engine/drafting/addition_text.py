"""The rows of a drafted data action in Markdown: for the app and for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from progtrain.engine.text import clean_line

_MOST_LABELS = 20


def markdown(told: Mapping[str, Any]) -> str:
    """`told`: as a review has it."""
    counts = told["counts"]
    made = f"{counts['augment']} changed and {counts['replay']} repeated training rows besides the {counts['base']}"
    focus = ", ".join(clean_line(one) for one in told["focus"])
    parts = [
        f"## Rows of {clean_line(told['name'])}",
        f"{made}, for {focus}; hardest by {clean_line(told['hard_by'])}.",
    ]
    if len(told["classes"]) <= _MOST_LABELS:
        of = ", ".join(f"{count} of {clean_line(label)}" for label, count in told["classes"].items())
        parts.append(f"By label: {of}.")
    if left := told["suspects_left_out"]:
        parts.append(f"{left} training rows with doubtful labels are left out.")
    parts += [f"- {clean_line(check)}" for check in told["checks"]]
    parts.append(f"### {len(told['rows'])} of them, each beside the row that it is made from")
    return "\n\n".join([*parts, *(_row(row) for row in told["rows"])]) + "\n"


def _row(row: Mapping[str, Any]) -> str:
    how = "a copy" if row["kind"] == "replay" else f"changed by {clean_line(row['operation'])}"
    line = f"`{clean_line(row['id'])}`: {how} of `{clean_line(row['parent'])}`, label {clean_line(row['label'])}"
    if row.get("change"):
        return f"{line}: {clean_line(row['change'])}"
    before, after = row.get("before"), row.get("after")
    if not before or not after or before == after:
        return line
    width = max(len(one) for one in before)
    sides = [f"{one:<{width}}  |  {other}" for one, other in zip(before, after, strict=False)]
    return "\n".join([line, "", "```text", *sides, "```"])
