"""What else the audit looks at: the main guard, the rules' settings, and files that all versions share."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from progtrain.engine import values
from progtrain.engine.errors import InputError
from progtrain.engine.files import read_text, try_read_json
from progtrain.engine.script import config_files, version_files
from progtrain.engine.script.action.edit import replace_literal
from progtrain.engine.script.baseline.constants import BASELINE
from progtrain.engine.script.baseline.desk import Desk
from progtrain.engine.script.baseline.modules import Module
from progtrain.engine.script.editor import Source
from progtrain.engine.script.names import canonical
from progtrain.engine.script.nodes import called, calls
from progtrain.engine.script.settings import Setting, choose_setting, duplicates, find_settings, refuse_value, suggest
from progtrain.engine.script.structure import describe, is_main_guard

# --- before anything is changed -----------------------------------------------------------------------------------


def guard(desk: Desk) -> None:
    """Importing a script that offers load_split, as the evaluation does, must train nothing."""
    main = desk.main
    offers = {node.name for node in main.tree.body if isinstance(node, ast.FunctionDef)} | set(main.names)
    if any(map(is_main_guard, main.tree.body)) or not ("load_split" in offers or main.imported_name("load_split")):
        return
    trains = [n for n in main.tree.body if not isinstance(n, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)]
    running = [n for n in trains if any(called(c) in {"fit", "backward", "Trainer"} for c in calls(n))]
    last = main.tree.body[-1] if main.tree.body else None
    own = {n.name for n in main.tree.body if isinstance(n, ast.FunctionDef)}
    problem = 'there is no `if __name__ == "__main__":`, so importing the script would train'
    if not running and isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and called(last.value) in own:
        code = main.source.segment(last)
        desk.fixed("main_guard", main, last.lineno, problem, f"`{code}` stands below the main guard")
        start, end = main.source.span(last)
        text = main.text[:start] + f'if __name__ == "__main__":\n    {code}' + main.text[end:]
        desk.put(main.path, text)
        return
    line = running[0].lineno if running else None
    fix = 'put what builds and trains the model into a function main(), and call it below `if __name__ == "__main__":`'
    desk.problem("main_guard", main, line, problem, fix)


# --- the rules' settings ------------------------------------------------------------------------------------------


def apply_settings(desk: Desk, settings: dict[str, Any], locked: frozenset[str]) -> None:
    for key, value in settings.items():
        _apply_setting(desk, key, value)
    _optimal_batch_size(desk, settings, locked)


def _apply_setting(desk: Desk, key: str, value: Any) -> None:
    wanted = tuple(value) if isinstance(value, list) else value
    if why := refuse_value(key, wanted):
        desk.rules_problem(_rules_line(desk, key), f"training_config.{key}: {why}", "correct the value in the rules")
        return
    if _set_in_config(desk, key, wanted, value):
        return
    module, setting = _find(desk, key)
    if setting is None:
        if module is not None:
            _absent(desk, key, value)
        return
    if isinstance(wanted, str) and isinstance(setting.value, int | float):
        problem = f"training_config.{key}: {setting.name} is a number in the script, the rules give the text {wanted!r}"
        desk.rules_problem(_rules_line(desk, key), problem, "write the number without quotes, or take the key out")
        return
    _set(desk, module, setting, wanted, f"the rules say {value!r}", f"{value!r}, as in the rules")


def _set_in_config(desk: Desk, key: str, wanted: Any, said: Any) -> bool:
    """Whether a config file is the place of a setting, which then has the rules' value."""
    source = version_files.read(desk.ws, BASELINE, desk.texts)
    try:
        setting = choose_setting(find_settings(source), key)
    except InputError:
        return False  # what stands in the script twice is told of below
    if setting is None or setting.source != "file":
        return False
    if values.same(setting.value, wanted):
        return True
    path = desk.ws.root / setting.file
    text = source.files[setting.file]
    place = Module(path, Source(text))
    problem = f"{setting.name} is {setting.value!r}, the rules say {said!r}"
    try:
        changed = config_files.replaced(setting.file, text, setting.name, wanted)
    except InputError as error:
        desk.problem("settings", place, setting.line, f"{problem}; {error.reason}", "set it there, or change the rule")
        return True
    desk.sources.setdefault(path, text)
    desk.fixed("settings", place, setting.line, problem, f"{setting.name} = {said!r}, as in the rules")
    desk.put(path, changed)
    return True


def _find(desk: Desk, key: str) -> tuple[Module | None, Setting | None]:
    """In the script, else in a module of the user's own. No module when it stands there twice with different values."""
    for module in desk.modules:
        try:
            setting = choose_setting(find_settings(module.text), key)
        except InputError as error:
            line = int(error.place.removeprefix("line ")) if error.place else None
            desk.problem("settings", module, line, error.reason, error.fix or "keep one of the two")
            return None, None
        if setting is not None:
            return module, setting
    return desk.main, None


def _set(desk: Desk, module: Module | None, setting: Setting, value: Any, said: str, becomes: str) -> None:
    """At every place where the setting stands."""
    assert module is not None
    for place in (setting, *duplicates(find_settings(module.text), setting)):
        if values.same(place.value, value):
            continue
        problem = f"{place.name} is {place.value!r}, {said}"
        desk.fixed("settings", module, place.line, problem, f"{place.name} = {becomes}")
        text = next(m.text for m in desk.modules if m.path == module.path)
        # the same place in the text as it is now: an earlier change may have moved it
        now = [s.span for s in find_settings(text) if s.name == place.name and s.line == place.line]
        desk.put(module.path, replace_literal(text, now[0] if now else place.span, value))


def _absent(desk: Desk, key: str, value: Any) -> None:
    parts = describe(desk.main.text)
    part = {"optimizer": parts.optimizer, "schedule": parts.schedule, "loss": parts.loss}.get(canonical(key))
    if part is not None and isinstance(value, str):
        if _kind_of(part) == _kind_of(value):
            return
        problem = f"training_config.{key} is {value!r}, but the script uses {part}"
        desk.rules_problem(_rules_line(desk, key), problem, f"write {part} in the rules, or {value} in the script")
        return
    found = [s for m in desk.modules for s in find_settings(m.text) if s.key not in {"version", "dataset_id"}]
    names = {s.key: s.name for s in reversed(found)}
    near = [names.get(name, name) for name in suggest(found, key)] or [s.name for s in found if s.deliberate]
    near = list(dict.fromkeys(near))
    known = f"the nearest there: {', '.join(near[:5])}" if near else "it has no setting that is a literal"
    problem = f"training_config.{key} matches no setting of {desk.name(desk.script)}; {known}"
    fix = (
        f"correct the key, take it out of the rules, or give the script a constant {key.upper()} = {value!r} and use it"
    )
    desk.rules_problem(_rules_line(desk, key), problem, fix)


def _kind_of(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower()).removesuffix("loss").removesuffix("lr")


def _rules_line(desk: Desk, key: str) -> int | None:
    if not desk.ws.rules.is_file():
        return None
    lines = read_text(desk.ws.rules).splitlines()
    return next((n for n, line in enumerate(lines, 1) if f"{json.dumps(key)}" in line), None)


# --- the smoke test's batch size ----------------------------------------------------------------------------------


def optimal_batch_size(desk: Desk) -> int | None:
    """From the baseline's smoke-test report, or its spec.json."""
    folder = desk.ws.version("baseline")
    for path in (folder.baseline_smoke_report, folder.path / "baseline_smoke_test_report.md"):
        if path.is_file() and (match := re.search(r"optimal_batch_size\W{1,12}(\d+)", read_text(path))):
            return int(match[1])
    return next(_values(try_read_json(folder.spec), "optimal_batch_size"), None)


def _values(data: Any, key: str) -> Iterator[int]:
    if isinstance(data, dict):
        if isinstance(data.get(key), int):
            yield data[key]
        for value in data.values():
            yield from _values(value, key)


def _optimal_batch_size(desk: Desk, settings: dict[str, Any], locked: frozenset[str]) -> None:
    optimal = optimal_batch_size(desk)
    if optimal is None or optimal < 1:
        return
    given = next((value for key, value in settings.items() if canonical(key) == "batch_size"), None)
    if given is not None or "batch_size" in locked:
        by = f"the rules' batch_size {given}" if given is not None else "the instruction, which keeps the batch size,"
        desk.notes.append(f"{by} wins over the smoke test's optimal_batch_size {optimal}")
        return
    module, setting = _find(desk, "batch_size")
    if setting is None:
        none = f"the smoke test's optimal_batch_size {optimal} was not applied: the script has no batch size"
        desk.notes.append(none)
        return
    said = f"the smoke test found {optimal} to be optimal"
    _set(desk, module, setting, optimal, said, f"{optimal}, as the smoke test found")


# --- files of the user's own ----------------------------------------------------------------------------------------


def shared_modules(desk: Desk) -> None:
    if len(desk.modules) > 1:
        shared = ", ".join(desk.name(module.path) for module in desk.modules[1:])
        desk.notes.append(f"all versions share {shared}, up to an action that changes a setting there, in a copy")
