"""Repairs of a failed training that need no model: they make it run, and are not meant to make it better.

A repair never touches a locked setting. Where none is known, `advice` says what a person could do.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.edit import replace_literal
from progtrain.engine.script.editor import Edit, Source
from progtrain.engine.script.nodes import argument, calls, innermost, keyword
from progtrain.engine.script.repair.failure import CAUSES, Failure, missing_path
from progtrain.engine.script.settings import Setting, find_setting, parse_script

#: the repaired script, and on one line what was changed and why
Repair = tuple[str, str]


def propose(failure: Failure, source: str, *, locked: Mapping[str, Any], root: Path | None = None) -> Repair | None:
    """The smallest change to `source` that could make it run; None when there is none that may be made.

    `locked` holds canonical keys that may not be changed, whatever their values. With `root`, the script's folder, a
    path that does not exist is compared with what is there.
    """
    remedy = _REMEDIES.get(failure.cause)
    if remedy is None:
        return None
    try:
        repair = remedy(_Case(failure, source, frozenset(locked), root))
        if repair is not None:
            parse_script(repair[0])
    except (InputError, SyntaxError):
        # a setting with two values, or a script that is no Python, before or after: nothing is certain
        return None
    return repair


def advice(failure: Failure, *, locked: Mapping[str, Any]) -> str:
    """What a person could do where `propose` has nothing."""
    key = {"out of memory": "batch_size", "loss not finite": "learning_rate"}.get(failure.cause)
    if key is not None and key in locked:
        return f"{key} is locked by the rules: relax that rule, or fix the script by hand"
    return _ADVICE.get(failure.cause, f"{failure.root_cause_hypothesis}: fix the script by hand")


_ADVICE = {
    "out of memory": "use smaller batches or a smaller model, or a machine with more memory",
    "loss not finite": "lower the learning rate, clip gradients, or look for NaN in the data",
    "time limit": "raise loop_config.step_timeout_minutes in the rules, or train fewer epochs",
    "missing module": "install the package in the interpreter that runs the script",
    "missing path": "correct the path in the script, or put the file there",
    "bad shape": "print the shapes of both tensors just before that line, and make them fit",
    "syntax error": "correct that line of the script",
    "no device": "let the script ask for accelerator='auto'",
    "data workers": "set num_workers=0, or give the machine more shared memory",
    "disk full": "free some space and start again",
    "could not start": "check the interpreter that the script is to run with",
}


@dataclass(frozen=True)
class _Case:
    failure: Failure
    text: str
    locked: frozenset[str]
    root: Path | None

    @property
    def source(self) -> Source:
        return Source(self.text)

    @property
    def line(self) -> int | None:
        """Where the script itself failed, not a module of its own."""
        file = self.failure.file
        return self.failure.line if file is None or re.match(r"02_train_\w+\.py$", Path(file).name) else None

    def setting(self, key: str) -> Setting | None:
        return None if key in self.locked else find_setting(self.text, key)

    def with_setting(self, setting: Setting, value: float, why: str) -> Repair:
        summary = f"{setting.name} {setting.value} → {value}: {why}"
        return replace_literal(self.text, setting.span, value), summary

    def with_edits(self, edits: Sequence[Edit], change: str, why: str) -> Repair:
        return self.source.apply(edits), f"{change}: {why}"


def _halve_batches(case: _Case) -> Repair | None:
    setting = case.setting("batch_size")
    if setting is None or not isinstance(setting.value, int) or setting.value < 2:
        return None
    return case.with_setting(setting, setting.value // 2, "half as many samples are in memory at a time")


def _lower_learning_rate(case: _Case) -> Repair | None:
    setting = case.setting("learning_rate")
    if setting is None or not isinstance(setting.value, int | float) or not setting.value > 0:
        return None
    value = float(f"{setting.value / 10:.12g}")
    return case.with_setting(setting, value, "steps a tenth as large should keep the loss finite")


# --- paths ------------------------------------------------------------------------------------------------------


def _fix_path(case: _Case) -> Repair | None:
    path = missing_path(case.failure.error_summary)
    if path is None or (case.root is not None and (case.root / path).exists()):
        return None
    written = re.search(r"Parent directory|non-existent directory|Models/Artifacts/", case.failure.error_summary)
    return _make_folder(case, path) if written else _nearest_path(case, path)


def _make_folder(case: _Case, path: str) -> Repair | None:
    """Before the line that writes there; the version's own folder stays bound to VERSION."""
    statement = innermost(case.source.tree, case.line) if case.line else None
    if statement is None:
        return None
    complains_of_parent = re.search(r"Parent directory|non-existent directory", case.failure.error_summary)
    folder = PurePosixPath(path) if complains_of_parent else PurePosixPath(path).parent
    if folder.is_absolute() or not folder.parts:
        return None
    name, imports = case.source.import_name("pathlib", "Path")
    call = f"{name}({_bound_to_version(case.text, str(folder))}).mkdir(parents=True, exist_ok=True)"
    edits = [*imports, case.source.insert_before(statement, call)]
    return case.with_edits(edits, f"make the folder {folder} before line {case.line}", "it was not there to write to")


def _bound_to_version(text: str, path: str) -> str:
    setting = find_setting(text, "version")
    parts = path.split("/")
    if setting is None or setting.source != "constant" or setting.value not in parts:
        return f'"{path}"'
    bound = "/".join("{" + setting.name + "}" if part == setting.value else part for part in parts)
    return f'f"{bound}"'


def _nearest_path(case: _Case, path: str) -> Repair | None:
    """One part of the path is misspelt, and the script has it in one literal: corrected to what is there."""
    if case.root is None:
        return None
    wrong = PurePosixPath(path)
    there = case.root
    for part in wrong.parts:
        if (there / part).exists():
            there = there / part
            continue
        names = [entry.name for entry in there.iterdir() if not entry.name.startswith(".")]
        near = difflib.get_close_matches(part, names, n=2, cutoff=0.75)
        places = list(_literal_places(case.source, part))
        if len(near) != 1 or len(places) != 1:
            return None
        return case.with_edits([(*places[0], near[0])], f'"{part}" → "{near[0]}"', f"{path} does not exist")
    return None


def _literal_places(source: Source, part: str) -> Iterator[tuple[int, int]]:
    """Where a part of a path stands in a plain string."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and part in node.value.split("/"):
            start, end = source.span(node)
            at = source.text.find(part, start, end)
            if at >= 0:
                yield at, at + len(part)


# --- shapes -----------------------------------------------------------------------------------------------------


def _fit_shape(case: _Case) -> Repair | None:
    """The first layer takes another number of features than the data has."""
    said = case.failure.error_summary
    layers: tuple[str, ...] = ("Linear",)
    argument_name = "in_features"
    if found := re.search(r"\(\d+x(\d+) and (\d+)x\d+\)", said):
        actual, expected = int(found[1]), int(found[2])
    elif found := re.search(r"to have (\d+) channels, but got (\d+) channels", said):
        expected, actual = int(found[1]), int(found[2])
        layers, argument_name = ("Conv1d", "Conv2d", "Conv3d"), "in_channels"
    else:
        return None
    takers = [
        value
        for call in calls(case.source.tree, *layers)
        if (value := argument(call, argument_name, 0)) is not None and _resolves_to(case, value, expected)
    ]
    if len(takers) != 1:
        return None
    edit = _new_number(case, takers[0], actual)
    why = f"the layer takes {expected} features and gets {actual}"
    return case.with_edits([edit], f"{argument_name} {expected} → {actual}", why) if edit else None


def _resolves_to(case: _Case, node: ast.expr, number: int) -> bool:
    setting = find_setting(case.text, node.id) if isinstance(node, ast.Name) else None
    return getattr(setting or node, "value", None) == number


def _new_number(case: _Case, node: ast.expr, number: int) -> Edit | None:
    if isinstance(node, ast.Constant):
        return case.source.replace(node, str(number))
    setting = find_setting(case.text, node.id) if isinstance(node, ast.Name) else None
    if setting is None or setting.key in case.locked:
        return None
    return case.source.replace_span(setting.span, str(number))


# --- the machine ------------------------------------------------------------------------------------------------


def _any_device(case: _Case) -> Repair | None:
    if "accelerator" in case.locked:
        return None
    source = case.source
    for call in calls(source.tree, "Trainer"):
        given = keyword(call, "accelerator")
        if isinstance(given, ast.Constant) and given.value not in {"auto", "cpu"}:
            why = "this machine has no such accelerator"
            return case.with_edits([source.replace(given, '"auto"')], f"accelerator {given.value!r} → 'auto'", why)
    return None


def _load_in_process(case: _Case) -> Repair | None:
    why = "data is loaded by the training itself, without processes of their own"
    setting = case.setting("num_workers")
    if setting is not None and isinstance(setting.value, int) and setting.value > 0:
        return case.with_setting(setting, 0, why)
    source, edits = case.source, []
    for call in calls(source.tree, "DataLoader"):
        given = keyword(call, "num_workers")
        if isinstance(given, ast.Constant) and given.value and "num_workers" not in case.locked:
            edits.append(source.replace(given, "0"))
        if (kept := keyword(call, "persistent_workers")) is not None and edits:
            edits.append(source.replace(kept, "False"))
    return case.with_edits(edits, "num_workers → 0", why) if edits else None


# --- syntax -----------------------------------------------------------------------------------------------------


def _fix_syntax(case: _Case) -> Repair | None:
    """A forgotten colon, or tabs between spaces. Anything else could be meant in several ways."""
    said, line = case.failure.error_summary, case.line
    lines = case.text.splitlines(keepends=True)
    if "TabError" in said or "inconsistent use of tabs" in said:
        return case.text.expandtabs(8), "tabs → spaces: they were mixed"
    if "expected ':'" in said and line is not None and line <= len(lines):
        code, comment = re.match(r"(.*?)(\s*(?:#.*)?\s*)$", lines[line - 1], re.DOTALL).groups()  # type: ignore[union-attr]
        lines[line - 1] = f"{code}:{comment}"
        return "".join(lines), f"a colon at the end of line {line}: Python expects one there"
    return None


_REMEDIES: dict[str, Callable[[_Case], Repair | None]] = {
    "out of memory": _halve_batches,
    "loss not finite": _lower_learning_rate,
    "missing path": _fix_path,
    "bad shape": _fit_shape,
    "no device": _any_device,
    "data workers": _load_in_process,
    "syntax error": _fix_syntax,
}
assert set(_REMEDIES) <= set(CAUSES)
