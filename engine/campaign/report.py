"""`Models/Report/campaign-NAME-<time>/`: what was collected. Made from files, never read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from progtrain.engine import values
from progtrain.engine.clock import Clock, now
from progtrain.engine.experiment.tables import as_csv
from progtrain.engine.files import write_json, write_text
from progtrain.engine.side_by_side import result
from progtrain.engine.text import shortened
from progtrain.engine.workspace import Workspace

FILES = ("variants.csv", "weakest.csv", "recommendation.json", "campaign.md")
_MOST = 12


def write(ws: Workspace, found: Mapping[str, Any], clock: Clock = now) -> Path:
    """The folder; `campaign.md` is written last. Raises `StorageError`."""
    into = result.folder(ws, clock(), f"campaign-{found['campaign']}")
    write_text(into / "variants.csv", as_csv(found["lines"]))
    write_text(into / "weakest.csv", as_csv(found["weakest"]))
    write_json(into / "recommendation.json", found["recommendation"])
    write_text(into / "campaign.md", "\n".join([*markdown(found), ""]))
    return into


def markdown(found: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"# Campaign {_cell(found['campaign'])}", "")
    yield from ([_cell(found["goal"], 400), ""] if found["goal"] else [])
    yield from ("## Recommended", "", *recommended(found["recommendation"]), "")
    yield from ("## Variants", "", *_table(variant_header(found), variant_rows(found)), "")
    rivals = list(rival_rows(found))
    if rivals:
        yield from ("## Against each other", "", *_table(RIVALS, rivals), "")
    yield from ("## Where they are weakest", "")
    slices = list(weakest_rows(found))
    yield from (_table(WEAKEST, slices) if slices else ["Nothing tells of single classes or dimensions."])
    if found["notes"]:
        yield from ("", "## To know", "", *(f"- {_cell(note, 300)}" for note in found["notes"]))


# words and cells, for files and terminal alike


def recommended(told: Mapping[str, Any]) -> list[str]:
    if not told["recommended"]:
        return [f"Nothing: {_cell(told['why'], 400)}."]
    ends = f"{values.change(told['low'])} to {values.change(told['high'])}"
    gain = f"{told['metric']} {values.change(told['delta'])}"
    lines = [
        f"In {told['version']}: {_cell(told['change'], 300)} ({gain}, 95 % {ends}).",
        f"{_cell(told['why'], 300)}.",
    ]
    lines += [f"It is worse by {one['metric']} ({values.change(one['delta'])})." for one in told["worse"]]
    return [*lines, f"Evidence: {', '.join(told['evidence'])}"]


def variant_header(found: Mapping[str, Any]) -> tuple[str, ...]:
    return ("variant", "change", "state", "seeds", found["metric"], "against", "difference", "95 %", "verdict")


def variant_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """By the primary metric; a variant without a number has its cause."""
    lines = {line["variant"]: line for line in found["lines"] if line["metric"] in ("", found["metric"])}
    for state in found["variants"]:
        line = lines.get(state["variant"])
        seeds = f"{state['done']}/{state['seeds']}"
        known = (state["variant"], state["change"], state["state"], seeds)
        if line is None or line["value"] is None:
            yield (*known, "–", state["version"], "", "", state["cause"])
        else:
            yield (*known, values.metric(line["value"]), line["against"], *_difference(line))


RIVALS = ("best", "against", "difference", "95 %", "verdict")
WEAKEST = ("kind", "name", "weakest on", "samples", "metric", "mean", "worst", "of")


def rival_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    yield from ((one["of"], one["against"], *_difference(one)) for one in found["against_each_other"])


def _difference(line: Mapping[str, Any]) -> tuple[str, str, str]:
    verdict = ", ".join(part for part in (line["verdict"], line["seed_noise"], line["refused"]) if part)
    if line["delta"] is None:
        return "", "", verdict
    return (
        values.change(line["delta"]),
        f"{values.change(line['delta_low'])} {values.change(line['delta_high'])}",
        verdict,
    )


def weakest_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for one in found["weakest"][:_MOST]:
        weakest = f"{one['weakest_on']} of {one['variants']}"
        numbers = (values.metric(one["mean"]), values.metric(one["worst"]), one["worst_variant"])
        yield (one["kind"], one["name"], weakest, str(one["samples"]), one["metric"], *numbers)


def _table(header: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> list[str]:
    return [_row(header), "|---" * len(header) + "|", *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: object, width: int = 120) -> str:
    return shortened(str(text), width).replace("|", "\\|")
