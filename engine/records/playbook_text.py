"""The failure playbook as files beside the version's results."""

from __future__ import annotations

from collections.abc import Iterable

from progtrain.engine import values
from progtrain.engine.files import write_json, write_text
from progtrain.engine.records.playbook import Group, Playbook, as_dict
from progtrain.engine.workspace import Workspace


def write_playbook(ws: Workspace, found: Playbook) -> None:
    """`failure-playbook.md` and `failure_cases.json`."""
    folder = ws.version(found.version)
    write_json(folder.failure_cases, as_dict(found))
    write_text(folder.playbook, text(found))


def text(found: Playbook) -> str:
    wrong = "" if found.wrong is None else f", {found.wrong} wrong"
    path, _, digest = found.source.rpartition("@")
    lines = [
        f"# Failure playbook of {found.version}",
        "",
        f"From `{path}` (sha256 `{digest[:12]}`): {found.samples} samples{wrong}. A sample may be in several groups.",
        "",
    ]
    if not found.groups:
        return "\n".join([*lines, "Nothing failed.", ""])
    lines += ["| group | samples | share | mean loss | since | flips | suggested |", "|---|---|---|---|---|---|---|"]
    for group in found.groups:
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells(group))} |")
    for group in found.groups:
        lines += ["", *_section(group)]
    lines += [
        "",
        "*since*: the version from which on at least half of them have been wrong throughout. *flips*: how many were "
        "right in the version before. *suggested*: actions on offer that rest on this failure and that rules allow.",
        "",
    ]
    return "\n".join(lines)


def cells(group: Group) -> tuple[str, ...]:
    """Name, samples, share, mean loss, since, flips, suggested."""
    return (
        group.name,
        str(group.samples),
        f"{100 * group.share:.1f} %",
        "–" if group.mean_loss is None else values.metric(group.mean_loss),
        group.since or "–",
        "–" if group.flips is None else str(group.flips),
        ", ".join(group.suggested) or "none",
    )


def _section(group: Group) -> Iterable[str]:
    yield f"## {group.name}"
    yield ""
    yield f"{group.rule[:1].upper()}{group.rule[1:]}."
    yield ""
    more = group.samples - len(group.examples)
    listed = ", ".join(f"`{one}`" for one in group.examples)
    order = "the surest first" if group.kind == "suspected label error" else "the highest loss first"
    yield f"Samples, {order}: {listed}{f', and {more} more' if more else ''}."
