"""Adopting: a training script of any name becomes the baseline of a workspace, and what it uses is written down.

The user's own files stay as they are. A script in a folder below gets a copy in the workspace; what that copy needs to
run from there is changed in it, one thing after the other, as long as each brings it further.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from progtrain.engine import examples, metrics
from progtrain.engine.errors import InputError, in_file
from progtrain.engine.files import read_text, write_text
from progtrain.engine.jobs.local import Local
from progtrain.engine.rules import instruction
from progtrain.engine.script import epoch_table, notebook, printed, version_files
from progtrain.engine.script import probe as probing
from progtrain.engine.script.baseline.modules import load_modules
from progtrain.engine.script.editor import Source
from progtrain.engine.script.names import canonical
from progtrain.engine.script.nodes import called, calls, is_docstring, keyword, text_of
from progtrain.engine.script.settings import choose_setting, find_settings, parse_script, refuse_value, suggest
from progtrain.engine.text import unified_diff
from progtrain.engine.values import within
from progtrain.engine.workspace import Workspace

_MOST_CHANGES = 6
_MOST_FILES = 20_000
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
#: folders whose name says nothing of the data in them
_ANY_DATA = (
    "data",
    "dataset",
    "datasets",
    "files",
    "input",
    "train",
    "valid",
    "val",
    "test",
    "raw",
    "processed",
    "src",
)
#: what a training writes: no data
_RESULTS = ("Models", ".progtrain", "lightning_logs", "mlruns", "wandb", "runs", "outputs", ".git")


# ---- the script


def read(ws: Workspace, script: Path) -> str:
    """Its source; a notebook's is converted. Raises `InputError` for what cannot be adopted at all."""
    if not script.is_file():
        raise InputError("there is no such file", file=script, fix="name your training script, from the project folder")
    if not script.is_relative_to(ws.root):
        fix = "go to the project's folder, or name it: progtrain -C DIR adopt SCRIPT"
        raise InputError(f"the script lies outside of the project {ws.root}", file=script, fix=fix)
    text = notebook.as_script(script) if notebook.is_notebook(script) else read_text(script)
    with in_file(script):
        parse_script(text)
    if not probing.can_be_probed(script, {script: text}):
        raise InputError(
            "it imports none of torch, lightning and transformers, so it could not be stopped before it trains",
            file=script,
            fix="name the script that builds and trains the model",
        )
    return text


def run_up(ws: Workspace, script: Path, text: str, arguments: Sequence[str], python: str) -> tuple[str, dict[str, Any]]:
    """The source as it runs from the workspace, and what its probe found.

    Raises `InputError` with the line, the reason and the smallest change that is known where it does not come to its
    training.
    """
    original = text
    if script.parent != ws.root:
        text = _with_own_place(text, ws.relative(script))
    with closing(Local()) as executor:
        for _ in range(_MOST_CHANGES):
            found = probing.run_text(python, text, ws.baseline_script, arguments, executor=executor)
            if probing.trains(found) or (changed := _smallest_change(ws, script, text, found)) is None:
                break
            text = changed
    if not probing.trains(found):
        raise _stopped(ws, script, original, text, found)
    if lacks_numbers(script, text, found) and (changed := epoch_table.with_table(text)) is not None:
        text = changed
    return text, found


def unsteady_split(
    ws: Workspace, script: Path, text: str, found: Mapping[str, Any], arguments: Sequence[str], python: str
) -> probing.Remark | None:
    """What to say of a split that a second try draws differently."""
    if not probing.draws_split(found, text):
        return None
    again = probing.run_text(python, text, ws.baseline_script, arguments)
    return probing.unsteady_split(found, again, ws.relative(script))


def lacks_numbers(script: Path, text: str, probe: Mapping[str, Any]) -> bool:
    """Whether nothing in the source says that something would be known of a version after its training."""
    own = probe.get("reached") == "step" and epoch_table.is_needed(text)
    return own and not printed.announced(module.tree for module in load_modules(script, {script: text}))


def trees(ws: Workspace, script: Path, source: str, probe: Mapping[str, Any]) -> list[ast.Module]:
    """Of the script and of the user's own modules, also of those that it imports by names which it reads somewhere."""
    texts = {script: source}
    for path in (ws.root / name for name in within(probe, "modules").values()):
        if path.suffix == ".py" and path.is_file():
            texts.setdefault(path, read_text(path))
    found = {module.path: module.tree for path in texts for module in load_modules(path, texts)}
    return list(found.values())


def _with_own_place(text: str, place: str) -> str:
    """`__file__` of the copy is still the place of the original, from where it finds its files; so are the folders that
    Hydra looks for beside the script.
    """
    source = Source(text)
    nodes = [node for node in ast.walk(source.tree) if isinstance(node, ast.Name) and node.id == "__file__"]
    edits = [source.replace(node, json.dumps(place)) for node in nodes]
    for call in calls(source.tree, "main", "initialize"):
        node = keyword(call, "config_path")
        if node is not None and (path := text_of(node)) and not path.startswith(("/", "pkg:", "file:")):
            edits.append(source.replace(node, json.dumps(os.path.normpath(Path(place).parent / path))))
    return source.apply(edits)


def _smallest_change(ws: Workspace, script: Path, text: str, found: Mapping[str, Any]) -> str | None:
    """For a copy that lies in another folder than the original: its modules and its files are found again."""
    error = found.get("exception") or {}
    if script.parent == ws.root:
        return None
    folders = [folder for folder in (script.parent, *script.parent.parents) if folder.is_relative_to(ws.root)]
    if module := str(error.get("module") or "").partition(".")[0]:
        there = (f for f in folders[:-1] if (f / f"{module}.py").is_file() or (f / module).is_dir())
        folder = next(there, None)
        return None if folder is None else _with_search_path(text, ws.relative(folder))
    missing = re.search(r"'([^']+)'", str(error.get("message"))) if error.get("type") == "FileNotFoundError" else None
    if missing is None:
        return None
    source, edits = Source(text), []
    apart = {id(node) for node in _parts_of_paths(source.tree)}
    for node in (node for node in ast.walk(source.tree) if id(node) not in apart):
        if isinstance(node, ast.Constant) and (path := text_of(node)) and missing[1].startswith(path):
            moved = os.path.normpath(script.parent / path)
            if not (ws.root / path).exists() and Path(moved).exists():
                edits.append(source.replace(node, json.dumps(os.path.relpath(moved, ws.root))))
    return source.apply(edits) if edits else None


def _parts_of_paths(tree: ast.Module) -> Iterator[ast.AST]:
    """Texts that a path only goes on with: `HERE / "x"`, `os.path.join(HERE, "x")`, `f"{HERE}/x"`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield node.right
        elif isinstance(node, ast.Call) and called(node) in ("join", "joinpath"):
            yield from node.args[1 if called(node) == "join" else 0 :]
        elif isinstance(node, ast.JoinedStr):
            yield from ast.walk(node)


def _with_search_path(text: str, folder: str) -> str | None:
    line = f"import sys; sys.path.insert(0, {json.dumps(folder)})  # its modules lie there"
    if line in text:
        return None
    source = Source(text)
    first = next(
        node
        for node in source.tree.body
        if not (isinstance(node, ast.Expr) and is_docstring(node))
        and not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
    )
    return source.apply([source.insert_before(first, line)])


def _stopped(ws: Workspace, script: Path, original: str, text: str, found: dict[str, Any]) -> InputError:
    """Why it did not come to its training, told of the user's own file."""
    copy, own = probing.copy_of(ws.baseline_script).name, ws.relative(script)
    error = dict(within(found, "exception"))
    lines, said = text.splitlines(), ""
    if error.get("file") == copy and isinstance(line := error.get("line"), int) and 0 < line <= len(lines):
        said = f" (`{lines[line - 1].strip()}`)"
        error |= {"file": own, "line": line - text.count("\n") + original.count("\n")}
        found = {**found, "exception": error}
    _, reason, fix = next(probing.remarks(found, own, {}))
    missing = re.search(r"'([^']+)'", str(error.get("message"))) if error.get("type") == "FileNotFoundError" else None
    if missing and script.parent != ws.root and (script.parent / missing[1]).exists():
        folder = shlex.quote(ws.relative(script.parent))
        fix = f"it finds its files from its own folder: cd {folder} && progtrain adopt {shlex.quote(script.name)}"
    if "training_args" in fix:
        lacking = " ".join(f"{name} ..." for name in re.findall(r"--?\w[\w-]*", str(found["argument_error"]))[:4])
        command = f"progtrain adopt {shlex.quote(own)} -- {lacking or '--data ...'}"
        fix = f"give it its arguments: {command} (or give them defaults)"
    if changes := unified_diff(original, text, own):
        fix = f"{fix}\n  changed already in the copy, so that it runs from the project folder:\n{changes}"
    return InputError(reason.replace(copy, own) + said, fix=fix or "try it with less data, or mend it there")


# ---- what is decided


def guess_dataset_id(ws: Workspace, text: str, files: Sequence[Path], data: Path | None) -> str:
    """The prepared data that it reads, else what the script, the data's folder or the project is called."""
    prepared = ws.data("x").parent
    below = [path.relative_to(prepared).parts[0] for path in files if path.is_relative_to(prepared)]
    parts = {part for path in files for part in (*path.parts, path.stem)}
    stated = [s.value for s in find_settings(text) if s.key == "dataset_id" and isinstance(s.value, str)]
    stated = [name for name in stated if not files or name in parts]  # an argument may say another
    # what is read besides data (configurations, vocabularies) is small
    largest = sorted(files, key=lambda path: path.stat().st_size if path.is_file() else 0, reverse=True)[:1]
    around = [path.relative_to(ws.root) if path.is_relative_to(ws.root) else path for path in largest]
    folders = [folder.name for path in around for folder in path.parents]
    folders = [name for name in [*([data.name] if data else []), *folders] if name.casefold() not in _ANY_DATA]
    named = [*below[:1], *stated[:1], *folders[:1], *(path.stem for path in largest)]
    return next((name for name in named if _FOLDER_NAME.fullmatch(name)), "my_data")


def read_lock(
    ws: Workspace, text: str, probe: Mapping[str, Any], arguments: Sequence[str], word: str
) -> tuple[str, Any]:
    """`KEY=VALUE`, or `KEY` for the value that the script has now. Raises `InputError`."""
    key, given, value_text = (part.strip() for part in word.partition("="))
    settings = find_settings(version_files.read(ws, "baseline", {ws.baseline_script: text}))
    setting = choose_setting(settings, key)
    if setting is None:
        near = ", ".join(dict.fromkeys(suggest(settings, key))) or "none that is a literal"
        raise InputError(f"the script has no setting {key!r}", place="--lock", fix=f"the nearest there: {near}")
    value: Any = _parsed(value_text) if given else _now(probe, arguments, key, setting.value)
    if why := refuse_value(key, value):
        raise InputError(why, place=f"--lock {key}", fix="give another value")
    return key, value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _now(probe: Mapping[str, Any], arguments: Sequence[str], key: str, written: Any) -> Any:
    """What ARGUMENTS say of it counts before what is written."""
    for option in (option for parser in probe.get("arguments") or [] for option in parser):
        given = any(word.split("=")[0] in option["options"] for word in arguments)
        if given and canonical(option["dest"]) == canonical(key):
            return option["value"]
    return list(written) if isinstance(written, tuple) else written


def rules(
    dataset_id: str,
    offered: Mapping[str, bool | None],
    primary: str,
    locks: Mapping[str, Any],
    arguments: Sequence[str],
) -> dict[str, Any]:
    """`user_defined_rules.json`. `offered`: metric -> whether higher is better; without it, it is left out."""
    ways = {primary: None, **offered}
    listed = [
        name if metrics.higher_is_better(name) is not None else {"name": name, "higher_is_better": way}
        for name, way in ways.items()
        if metrics.higher_is_better(name) is not None or way is not None
    ]
    empty = examples.empty_rules()
    return {
        **empty,
        "dataset_config": {"dataset_id": dataset_id},
        "training_config": dict(locks),
        **({"training_args": list(arguments)} if arguments else {}),
        "eval_config": {**empty["eval_config"], "primary_metric": primary, "metrics": listed},
    }


# ---- data


def data_files(ws: Workspace, probe: Mapping[str, Any], data: Path | None) -> list[Path]:
    """What the script read or looked through before its training, and everything below `data`."""
    files = probe.get("files") or {}
    read = [ws.root / path for path in files.get("read") or []]
    folders = [ws.root / path for path in files.get("listed") or []]
    found = read + [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    if data is not None:
        found += sorted(data.rglob("*"))
    unique = dict.fromkeys(path for path in found if not _is_no_data(ws, path) and path.is_file())
    return list(unique)[:_MOST_FILES]


def _is_no_data(ws: Workspace, path: Path) -> bool:
    """Results, code and settings of the project."""
    if not path.is_relative_to(ws.root):
        return False
    parts = path.relative_to(ws.root).parts
    return bool(parts) and (parts[0] in _RESULTS or path.suffix in (".py", ".ipynb", ".yaml", ".yml", ".toml"))


def manifest(ws: Workspace, script: str, files: Sequence[Path]) -> dict[str, Any]:
    """`source.json`."""
    stats = [(path, path.stat()) for path in files]
    entries = [{"path": ws.relative(p), "size": s.st_size, "mtime_ns": s.st_mtime_ns} for p, s in stats]
    return {"about": f"data stay where they are; seen when {script} was adopted", "files": entries}


# ---- writing


def in_the_way(ws: Workspace, text: str) -> Iterator[Path]:
    """What is there already and would be lost. Raises `InputError` where the loop has begun."""
    if versions := ws.versions():
        fix = "take another folder for another script, or go on: progtrain run"
        raise InputError(f"the loop has begun here already, with {versions[0]}", file=ws.script(versions[0]), fix=fix)
    if ws.baseline_script.exists() and read_text(ws.baseline_script) != text:
        yield ws.baseline_script
    if ws.rules.exists() and not examples.is_empty_rules(ws.rules):
        yield ws.rules


def write(
    ws: Workspace,
    script: str,
    text: str,
    written_rules: Mapping[str, Any],
    stats: Mapping[str, Any],
    files: Sequence[Path],
) -> list[Path]:
    """Sets the workspace up, the script last; what was written. Prepared data's own descriptions are kept."""
    dataset_id = written_rules["dataset_config"]["dataset_id"]
    prepared = ws.data(dataset_id)
    apart = [path for path in files if not path.is_relative_to(prepared)]
    contents: dict[Path, str] = {}
    if not ws.stats(dataset_id).exists():
        contents[ws.stats(dataset_id)] = _json(stats)
    if apart and not ws.source(dataset_id).exists():
        contents[ws.source(dataset_id)] = _json(manifest(ws, script, apart))
    if not ws.instruction.exists():
        contents[ws.instruction] = instruction.TEMPLATE
    contents[ws.rules] = _json(written_rules)
    if not ws.baseline_script.exists() or read_text(ws.baseline_script) != text:
        contents[ws.baseline_script] = text
    for path, content in contents.items():
        write_text(path, content)
    return list(contents)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
