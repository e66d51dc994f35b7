"""A first baseline from a template: prepared data, rules, instruction and script, written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from progtrain.engine import examples
from progtrain.engine.bring import columns, folders, table, words
from progtrain.engine.bring.brought import SEED, Brought, Sample, part, share_of
from progtrain.engine.errors import InputError
from progtrain.engine.files import storage_errors, write_json, write_text
from progtrain.engine.rules import instruction
from progtrain.engine.text import clean_line
from progtrain.engine.workspace import Workspace

TEMPLATES = ("image", "table", "text", "plain")
_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*")
_FOLDER = Path(__file__).parents[1] / "templates" / "baselines"
#: what each imports besides the standard library
PACKAGES = {
    "image": ("torch", "lightning", "numpy", "PIL"),
    "table": ("torch", "lightning"),
    "text": ("torch", "lightning"),
    "plain": ("torch",),
}


def read_folder(template: str, data: Path) -> Brought:
    """Raises `InputError`."""
    if template == "image":
        return folders.pictures(data)
    if template == "text":
        return folders.texts(data)
    found = sorted(path.name for path in data.glob("*.csv"))
    fix = f"name the file: --data {data / found[0]}" if found else "name a CSV file: --data FILE"
    raise InputError("it is a folder, and a table is one CSV file", file=data, fix=fix)


def read_table(template: str, content: table.Table, target: str, task: str | None) -> Brought:
    """Raises `InputError`."""
    if template == "text":
        if task == "regression":
            fix = "leave --task out, or take the template table for numbers"
            raise InputError("the text template tells classes apart", place="--task regression", fix=fix)
        return words.read(content, target)
    return columns.read(content, target, task)


def usual_target(template: str, content: table.Table) -> str:
    return words.guess_label(content) if template == "text" else content.header[-1]


def data_name(data: Path) -> str:
    """A name for the data set, from that of the file or folder."""
    return re.sub(r"\W+", "_", data.stem if data.is_file() else data.name, flags=re.ASCII).strip("_") or "my_data"


def refuse_what_is_there(ws: Workspace, dataset_id: str) -> None:
    """Nothing is overwritten. Raises `InputError`, also for an id that is no name of a folder."""
    if not _NAME.fullmatch(dataset_id):
        fix = "letters, digits, - and _: --dataset-id my_data"
        raise InputError(f"{dataset_id!r} can't be the name of a folder", place="--dataset-id", fix=fix)
    there = [path for path in (ws.baseline_script, ws.data(dataset_id)) if path.exists()]
    there += [ws.script(version) for version in ws.versions()[:1]]
    if ws.rules.exists() and not examples.is_empty_rules(ws.rules):
        there.append(ws.rules)
    if there:
        names = ", ".join(ws.relative(path) for path in there)
        fix = "name an empty or new folder, or move it away: nothing is overwritten"
        raise InputError(f"the folder has {names} already", file=ws.root, fix=fix)


def write(ws: Workspace, template: str, dataset_id: str, brought: Brought) -> list[Path]:
    """What was written, the script last. Where that fails nothing of it stays. Raises `InputError`, `StorageError`."""
    parts = part(brought)
    stats = statistics(dataset_id, brought, parts)
    script = render(template, dataset_id, brought)
    data = ws.data(dataset_id)
    contents = {
        data / "stats.json": json.dumps(stats, indent=2, ensure_ascii=False) + "\n",
        ws.rules: json.dumps(rules(dataset_id, brought), indent=2) + "\n",
        ws.baseline_script: script,
    }
    if not ws.instruction.exists():
        contents = {ws.instruction: instruction.TEMPLATE, **contents}
    written: list[Path] = []
    try:
        with storage_errors(ws.root):
            for name, samples in parts.items():
                path = ws.split(dataset_id, name) / "data.csv"
                write_text(path, "".join(_lines(ws, brought, samples)))
                written.append(path)
            if brought.files:
                write_json(ws.source(dataset_id), _manifest(ws, brought))
                written.append(ws.source(dataset_id))
            for path, text in contents.items():
                write_text(path, text)
                written.append(path)
    except BaseException:
        shutil.rmtree(data, ignore_errors=True)
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def _lines(ws: Workspace, brought: Brought, samples: Sequence[Sample]) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", *brought.header, brought.target])
    for sample in samples:
        cells = [ws.relative(Path(cell)) for cell in sample.cells] if brought.files else sample.cells
        writer.writerow([sample.id, *cells, sample.target])
    yield out.getvalue()


def _manifest(ws: Workspace, brought: Brought) -> dict[str, Any]:
    seen = [(path, path.stat()) for path in brought.files]
    entries = [{"path": ws.relative(p), "size": s.st_size, "mtime_ns": s.st_mtime_ns} for p, s in seen]
    return {"about": f"pictures stay where they are: {brought.source}", "files": entries}


def statistics(dataset_id: str, brought: Brought, parts: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    """`stats.json`."""
    own = any(sample.split for sample in brought.samples)
    split: dict[str, Any] = {"by": "your own folders"}
    if not own:
        split = {"by": "progtrain", "seed": SEED, "valid_share": share_of(brought), "stratified": True}
    described: dict[str, Any] = {}
    for name, samples in parts.items():
        described[name] = {"num_samples": len(samples)}
        if brought.classes:
            sizes = Counter(sample.target for sample in samples)
            described[name]["per_class"] = {label: sizes[label] for label in brought.classes}
    found: dict[str, Any] = {
        "dataset_id": dataset_id,
        "source": str(brought.source),
        "task_type": brought.task,
        "target": brought.target,
    }
    if brought.classes:
        found |= {"num_classes": len(brought.classes), "class_names": brought.classes}
    if brought.columns:
        found["columns"] = brought.columns
    return {**found, "split": split, "splits": described, "remarks": brought.said}


def rules(dataset_id: str, brought: Brought) -> dict[str, Any]:
    """`user_defined_rules.json`: with classes of unlike size each class counts alike."""
    if brought.task == "regression":
        ranking = {"primary_metric": "rmse", "metrics": ["rmse", "mae", "r2"]}
    else:
        sizes = Counter(sample.target for sample in brought.samples).values()
        primary = "f1_macro" if max(sizes) > 3 * min(sizes) else "accuracy"
        ranking = {"primary_metric": primary, "metrics": ["accuracy", "f1_macro"]}
    empty = examples.empty_rules()
    return {**empty, "dataset_config": {"dataset_id": dataset_id}, "eval_config": {**empty["eval_config"], **ranking}}


def render(template: str, dataset_id: str, brought: Brought) -> str:
    """The script."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    of = clean_line(
        f"{brought.target} of {dataset_id}" if brought.target != "label" else f"the classes of {dataset_id}"
    )
    values = {name: literal(value) for name, value in brought.settings.items()}
    text = environment.get_template(f"{template}.py.j2").render(
        dataset_id=literal(dataset_id),
        about=re.sub(r'[\\"]', "'", of),
        regression=brought.task == "regression",
        **values,
    )
    return re.sub(r"\n{4,}", "\n\n\n", text.strip()) + "\n"


def literal(value: object) -> str:
    """As it stands in a script."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
