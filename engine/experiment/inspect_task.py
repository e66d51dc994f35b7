"""Writes a task of inspect-ai for rows of a file: a script of the user's own from then on."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

from progtrain.engine.errors import InputError
from progtrain.engine.experiment.tools import progtrain_rows
from progtrain.engine.files import read_loosely, write_text
from progtrain.engine.script.names import nearest
from progtrain.engine.workspace import Workspace

#: scorers of inspect that need no model of their own
SCORERS = ("match", "includes", "exact", "f1")
_READING = {
    ".json": "json.loads(text)",
    ".jsonl": "[json.loads(line) for line in text.splitlines() if line.strip()]",
    ".csv": "list(csv.DictReader(text.splitlines(keepends=True)))",
    ".tsv": 'list(csv.DictReader(text.splitlines(keepends=True), delimiter="\\t"))',
}
_TEXT = '''\
"""{name}: {count} rows of {file}, asked one by one and compared. Yours to edit.

By hand: inspect eval {script} --model hf/NAME -M model_path=FOLDER
"""

import csv
import json
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import {imported}
from inspect_ai.solver import generate, system_message

DATA = Path(__file__).resolve().parent / {relative}
#: columns of the file; without an ID the number of the row
INPUT, TARGET, ID = {columns}
#: what a model is asked; the training asks in the same way
PROMPT = {prompt}
SYSTEM = {system}


def count_tokens_here():
    """inspect counts tokens by a table that tiktoken fetches; without a network that ends every sample."""
    try:
        import inspect_ai.model._model as model
        import inspect_ai.model._tokens as tokens

        if model.count_text_tokens and tokens.count_text_tokens:
            tokens.count_text_tokens = model.count_text_tokens = lambda text: max(1, len(text.encode()) // 4)
    except (ImportError, AttributeError):
        pass  # another inspect, which counts otherwise


def rows():
    text = DATA.read_text(encoding="utf-8-sig")
    return {reading}


def samples():
    return [
        Sample(
            id=str(row[ID]) if ID else str(number),
            input=PROMPT.replace("{{input}}", str(row[INPUT])),
            target=str(row[TARGET]),
        )
        for number, row in enumerate(rows(), start=1)
    ]


count_tokens_here()


@task
def {name}():
    asked = [system_message(SYSTEM)] if SYSTEM else []
    dataset = MemoryDataset(samples(), name="{name}")
    return Task(dataset=dataset, solver=[*asked, generate()], scorer=[{scorers}])
'''


def path(ws: Workspace, name: str) -> Path:
    return ws.root / "tasks" / f"{name}.py"


def create(
    ws: Workspace,
    name: str,
    data: Path,
    *,
    columns: tuple[str, str] | None = None,
    scorers: tuple[str, ...] = ("match",),
    prompt: str = "{input}",
    system: str = "",
) -> tuple[Path, str]:
    """Where it belongs and what stands there; writes nothing. Raises `InputError` with what is wrong."""
    script = path(ws, name)
    if not name.isidentifier():
        fix = "take letters, digits and _, a letter first"
        raise InputError(f"{name!r} is no name for a task", place="the task's name", fix=fix)
    for scorer in scorers:
        if scorer not in SCORERS:
            near = nearest(scorer, SCORERS, 1)
            fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(SCORERS)}; others are yours to write"
            raise InputError(f"there is no scorer {scorer}", place="--scorer", fix=fix)
    if "{input}" not in prompt:
        raise InputError("the prompt has no {input}", place="--prompt", fix='write "Capitalise: {input}"')
    asked, answered, identity, count = _columns(data, columns)
    relative = os.path.relpath(data.absolute(), script.parent.absolute())
    text = _TEXT.format(
        name=name,
        count=count,
        file=ws.relative(data.absolute()),
        script=ws.relative(script),
        imported=", ".join(sorted(scorers)),
        relative=json.dumps(relative, ensure_ascii=False),
        columns=", ".join(repr(column) for column in (asked, answered, identity)),
        prompt=repr(prompt),
        system=repr(system),
        reading=_READING[data.suffix.lower()],
        scorers=", ".join(f"{scorer}()" for scorer in scorers),
    )
    return script, text


def write(script: Path, text: str, *, overwrite: bool) -> None:
    """Raises `InputError` where another one is there."""
    if script.exists() and not overwrite and read_loosely(script) != text:
        raise InputError("the file is there already", file=script, fix="take another name, or --overwrite")
    write_text(script, text)


def _columns(data: Path, columns: tuple[str, str] | None) -> tuple[str, str, str | None, int]:
    """Names of the columns that are asked, answered, and tell rows apart, and how many rows there are."""
    if data.suffix.lower() not in _READING:
        raise InputError("rows are read from .jsonl, .json, .csv and .tsv", file=data, fix="save them as one of these")
    fix = "name the columns: --input question --target answer"
    try:
        told = progtrain_rows.fields(str(data))
        pair = columns or progtrain_rows.pair_in(told[0] if told else {})
        rows = progtrain_rows.read(str(data), pair)
    except (OSError, ValueError, csv.Error) as error:
        reason = str(error.strerror) if isinstance(error, OSError) else str(error)
        raise InputError(reason, file=data, fix=fix) from error
    if pair is None:
        there = ", ".join(told[0])
        raise InputError(f"no two columns that are asked and answered; there are {there}", file=data, fix=fix)
    ids = [row.get("id") for row in rows]
    named = "id" if all(ids) else None
    if named and len(set(ids)) < len(ids):
        twice = next(identity for identity in ids if ids.count(identity) > 1)
        raise InputError(f"the id {twice} comes twice", file=data, fix="give each row an id of its own")
    return pair[0], pair[1], named, len(rows)
