"""All that a comparison found, and the files that it becomes: `Models/Report/compare-<time>/`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine import values
from progtrain.engine.analysis.compare import serving
from progtrain.engine.experiment.drawing import can_png
from progtrain.engine.experiment.tables import as_csv
from progtrain.engine.files import storage_errors, write_text
from progtrain.engine.side_by_side import dimensions, radar
from progtrain.engine.side_by_side.asked_again import Asked
from progtrain.engine.side_by_side.differences import Line
from progtrain.engine.side_by_side.dimensions import Dimension
from progtrain.engine.side_by_side.sides import Side
from progtrain.engine.text import shortened
from progtrain.engine.workspace import Workspace

_NO_PNG = "radar.png was not drawn: pip install 'progtrain[plots]'"
#: of one model, in the table of single samples
_OF_SAMPLES = ("prediction", "correct", "loss", "served_by", "error")


class Result(NamedTuple):
    sides: tuple[Side, ...]
    lines: tuple[Line, ...]
    #: samples that all models have which are compared
    common: tuple[str, ...]
    dimensions: tuple[Dimension, ...]
    asked: tuple[Asked, ...] = ()


def notes(found: Result) -> list[str]:
    """What a reader has to know before the numbers, a sentence each."""
    first, *others = found.sides
    said = [f"{side.name} {side.refused}: no difference and no verdict" for side in others if side.refused]
    said += [f"confounded: {side.confounded}: no verdict on {side.name}" for side in others if side.confounded]
    if serving.is_mixed(first.shares) and not others:
        said.append(f"{first.name} is mixed: {serving.told(first.shares)}")
    said += [
        f"{side.name} answered {serving.percent(side.answered)} of its samples"
        for side in found.sides
        if side.answered is not None and side.answered < 1
    ]
    most = max((len(side.samples) for side in found.sides if side.samples and not side.refused), default=0)
    if most > len(found.common):
        said.append(
            f"{most - len(found.common)} of {most} samples are not in all of them, and left out beside each other"
        )
    said += [f"{side.name} tells of no single samples: no verdict" for side in found.sides if side.samples is None]
    return said


# files


def folder(ws: Workspace, now: datetime, what: str = "compare") -> Path:
    """Made, under a name that none has: another one of the same minute ends in `-2`. Raises `StorageError`."""
    stem, number = f"{what}-{now.strftime('%Y-%m-%d_%H-%M')}", 1
    while True:
        path = ws.reports / (stem if number == 1 else f"{stem}-{number}")
        try:
            with storage_errors(path):
                path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return path


def write(found: Result, into: Path) -> tuple[list[Path], str]:
    """All files, `comparison.md` the last, and why a picture is missing (empty: none is)."""
    names = [side.name for side in found.sides if side.name in {name for d in found.dimensions for name in d.values}]
    files = {"comparison.csv": as_csv(list(_csv(found)))}
    if found.common:
        files["per_sample.csv"] = _samples(found)
    missing = radar.why_none(found.dimensions)
    if not missing:
        files["radar.svg"] = radar.svg(found.dimensions, names)
        if can_png():
            radar.png(found.dimensions, names, into / "radar.png")
        else:
            missing = _NO_PNG
    files["comparison.md"] = "\n".join([*markdown(found, missing), ""])
    for name, text in files.items():
        write_text(into / name, text)
    drawn = [into / "radar.png"] if (into / "radar.png").exists() else []
    return [*drawn, *(into / name for name in files)], missing


def _csv(found: Result) -> Iterator[dict[str, Any]]:
    about = {side.name: side for side in found.sides}
    for line in found.lines:
        side = about[line.model]
        yield {
            **line._asdict(),
            "against": "" if side is found.sides[0] else found.sides[0].name,
            "dimension": "",
            "answered": side.answered,
            "served_by": serving.told(side.shares),
            "refused": side.refused,
            "confounded": side.confounded,
        }
    for dimension in found.dimensions:
        for model, value in dimension.values.items():
            yield {
                "model": model,
                "metric": dimensions.told(found.dimensions),
                "higher_is_better": dimension.higher_is_better,
                "value": value,
                "n": dimension.samples,
                "dimension": f"{dimension.kind} {dimension.name}",
            }


def _samples(found: Result) -> str:
    """Rows are samples; of each model its answer and what came of it."""
    held = [(side.name, side.samples) for side in found.sides if side.samples is not None and not side.refused]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["sample_id", "truth", *(f"{what} {name}" for name, _ in held for what in _OF_SAMPLES)])
    for sample in found.common:
        first = held[0][1]
        cells = [sample, first.truth[first.row[sample]]]
        for _, samples in held:
            at = samples.row[sample]
            cells += [_sample_cell(column[at]) if (column := getattr(samples, what)) else "" for what in _OF_SAMPLES]
        table.writerow(cells)
    return out.getvalue()


def _sample_cell(value: str | float | None) -> str:
    return "" if value is None else str(int(value)) if isinstance(value, bool) else str(value)


def markdown(found: Result, missing: str = "") -> list[str]:
    first = found.sides[0]
    lines = [f"# {' · '.join(_cell(side.name) for side in found.sides)}", ""]
    lines += [f"Differences are against **{_cell(first.name)}**.", ""] if len(found.sides) > 1 else []
    lines += [f"- {_cell(text, 300)}" for text in notes(found)] + [""] * bool(notes(found))
    lines += ["## Metrics", "", *_table(("metric", "model", "value", "difference", "95 %", "verdict", "note"))]
    lines += [_row(cells) for cells in metric_cells(found)]
    lines += ["", "## What answered", "", *_table(("model", "answered", "served by"))]
    lines += [_row((side.name, _answered(side), serving.told(side.shares) or "–")) for side in found.sides]
    if found.dimensions:
        models = list(found.dimensions[0].values)
        kind = found.dimensions[0].kind
        lines += ["", f"## By {kind}", "", f"{dimensions.told(found.dimensions).capitalize()}.", ""]
        lines += _table((kind, "samples", *models))
        lines += [_row((d.name, d.samples, *(number(d.values[name]) for name in models))) for d in found.dimensions]
        lines += ["", "![radar](radar.svg)"] if not radar.why_none(found.dimensions) else []
    lines += ["", missing] if missing else []
    for asked in found.asked:
        lines += [
            "",
            f"## {_cell(asked.model)}, asked {asked.runs} times",
            "",
            *(f"- {text}" for text in told_of(asked)),
        ]
    return lines


def _cell(text: object, width: int = 120) -> str:
    return shortened(str(text), width).replace("|", "\\|")


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _table(header: Sequence[str]) -> list[str]:
    return [_row(header), "|---" * len(header) + "|"]


def number(value: float | None) -> str:
    return "–" if value is None else values.metric(value)


def _answered(side: Side) -> str:
    return "–" if side.answered is None else serving.percent(side.answered)


# words, for files and terminal alike


def metric_cells(found: Result) -> Iterator[tuple[str, ...]]:
    """Of each line: metric, model, value, difference, its interval, verdict, note."""
    for line in found.lines:
        interval = (
            "" if line.low is None or line.high is None else f"{values.change(line.low)} {values.change(line.high)}"
        )
        delta = "" if line.delta is None else values.change(line.delta)
        yield (line.metric, line.model, number(line.value), delta, interval, line.verdict, line.note)


def told_of(asked: Asked) -> list[str]:
    """How stable an external model is."""
    same = serving.percent(asked.same)
    told = [f"the same answer in all {asked.runs} runs: {same} of {asked.samples} samples"]
    for name, spread in asked.spread.items():
        mean, sd, low, high = map(values.metric, spread)
        told.append(f"{name} {mean}, standard deviation {sd}, from {low} to {high}")
    paths = list(dict.fromkeys(serving.told(shares) for shares in asked.shares))
    if len(paths) > 1 or any(serving.is_mixed(shares) for shares in asked.shares):
        told.append(f"confounded: serving: answered by {'; then '.join(paths)}")
    return told
