"""What an evaluation left in its cell's folder: the score, its samples, and what was evaluated how.

A tool that knows nothing of progtrain need write no more than `{"metrics": {"accuracy": 0.5}, "num_samples": 40}`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from progtrain.engine import metrics, values
from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.experiment import outcome
from progtrain.engine.experiment.folder import CellFolder
from progtrain.engine.experiment.workers.base import Ended, Piece, Score
from progtrain.engine.files import read_json, read_text, sha256, sha256_text, write_json, write_text
from progtrain.engine.script.repair.failure import Failure

_FIX = 'write {"metrics": {"accuracy": 0.5}, "num_samples": 40}'
_ID_NAMES = ("sample_id", "id", "sample", "index")
#: above that a file's name and size stand for what is in it
_MOST_BYTES = 1 << 30


def clear(folder: CellFolder) -> None:
    """An evaluation is done again as a whole: what is found afterwards was written by it."""
    folder.path.mkdir(parents=True, exist_ok=True)
    for path in (folder.score, folder.per_sample, folder.protocol):
        path.unlink(missing_ok=True)


def taken(piece: Piece, evaluator: Mapping[str, Any], data_sha256: str) -> Ended:
    """Reads what a tool wrote, brings the samples to the form in which they are compared, and says how it came about.

    `evaluator`: what makes this evaluation this one. Scores of another one, or on other data, are not compared.
    """
    folder = piece.cell_folder
    try:
        if folder.per_sample.is_file():
            _in_our_form(folder, [score.metric for score in read(folder, counted=False)])
        found = read(folder)
        _write_protocol(piece, evaluator, data_sha256, max(score.samples for score in found))
    except (InputError, StepFailed) as error:
        fix = error.fix or "see the output of the evaluation"
        return Ended(Failure("outputs", error.located, fix))
    return Ended(outputs=[path for path in (folder.score, folder.per_sample, folder.protocol) if path.is_file()])


def read(folder: CellFolder, counted: bool = True) -> list[Score]:
    """The numbers of `eval_score.json`. Raises `InputError` where it is not there, wrong, or about no samples."""
    file = folder.score
    if not file.is_file():
        raise InputError("the evaluation has written no score", file=file, fix=_FIX)
    data = read_json(file)
    told = data.get("metrics") if isinstance(data, dict) else None
    if not isinstance(told, dict | list) or not told:
        raise InputError("metrics are missing", file=file, place="key metrics", fix=_FIX)
    rows = [{"name": name, "value": value} for name, value in told.items()] if isinstance(told, dict) else told
    samples = _samples(folder, data) if counted else 0
    return [_score(row, samples, file) for row in rows]


def _samples(folder: CellFolder, data: Mapping[str, Any]) -> int:
    if "num_samples" not in data:
        # 0: nobody says on how many
        return len(read_per_sample(folder.per_sample)) if folder.per_sample.is_file() else 0
    found = metrics.count(data["num_samples"])
    if not found:
        reason = f"evaluated on {values.show(data['num_samples'])} samples"
        raise InputError(reason, file=folder.score, place="key num_samples", fix="see the output of the evaluation")
    return found


def _score(row: Any, samples: int, file: Path) -> Score:
    name = row.get("name") if isinstance(row, dict) else None
    if not isinstance(name, str) or not name:
        raise InputError("a metric has no name", file=file, place="key metrics", fix=_FIX)
    value = row.get("value")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise InputError(f"{name} is no number: {value!r}", file=file, place=f"metric {name}", fix=_FIX)
    higher = row.get("higher_is_better", metrics.higher_is_better(name))
    if not isinstance(higher, bool):
        fix = f'write [{{"name": "{name}", "value": {values.show(value)}, "higher_is_better": true}}] as metrics'
        raise InputError(f"whether {name} is better higher is not known", file=file, place=f"metric {name}", fix=fix)
    own = metrics.count(row.get("samples"))
    return Score(name, metrics.finite(value), samples if own is None else own, higher)


def _in_our_form(folder: CellFolder, named: Iterable[str]) -> None:
    """A column of ids is called sample_id, one with a metric's name is each sample's part of that metric.

    Raises `InputError` where there is no id, one comes twice, or there is no row.
    """
    path = folder.per_sample
    rows = list(csv.reader(io.StringIO(read_text(path))))
    header = [cell.strip() for cell in rows[0]] if rows else []
    ids = next((name for name in _ID_NAMES if name in header), None)
    if ids is None:
        raise InputError("no column sample_id", file=path, place=1, fix="write one, with an id in each row")
    at, seen = header.index(ids), set[str]()
    for number, row in enumerate(rows[1:], start=2):
        found = row[at] if at < len(row) else ""
        if row and (not found or found in seen):
            reason = f"the sample {found} comes twice" if found else "a row has no sample_id"
            raise InputError(reason, file=path, place=number, fix="give each sample an id of its own")
        seen.add(found)
    parts = {name for name in header if name != ids and metrics.find(name, named)}
    renamed = ["sample_id" if name == ids else f"part__{name}" if name in parts else name for name in header]
    if renamed != rows[0]:
        write_table(path, renamed, [row for row in rows[1:] if row])
    read_per_sample(path)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    write_text(path, out.getvalue())


def _write_protocol(piece: Piece, evaluator: Mapping[str, Any], data_sha256: str, samples: int) -> None:
    assert piece.cell is not None
    tested = outcome.checkpoint(piece)
    protocol = {
        "evaluator_sha256": sha256_text(repr(sorted(evaluator.items()))),
        "data_sha256": data_sha256,
        "checkpoint_sha256": fingerprint(tested),
        "script_sha256": "",
        "seed": piece.run.seed or 0,
        "split": "valid",
        "num_samples": samples,
        "created_at": piece.experiment.clock().isoformat(),
        "task": piece.cell.task.name,
    }
    write_json(piece.cell_folder.protocol, protocol)


def fingerprint(path: Path) -> str:
    """Changes when a file does; of a folder by names and sizes, of a large file by its size. Empty for none."""
    if path.is_dir():
        listed = [(str(p.relative_to(path)), p.stat().st_size) for p in outcome.files_in(path)]
        return sha256_text(repr(listed))
    if not path.is_file():
        return ""
    size = path.stat().st_size
    return sha256(path) if size <= _MOST_BYTES else sha256_text(f"{path.name} {size}")
