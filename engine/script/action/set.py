"""Setting one literal of a script to another value."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from progtrain.engine import values
from progtrain.engine.errors import InputError
from progtrain.engine.script import config_files
from progtrain.engine.script.action.edit import replace_literal
from progtrain.engine.script.action.operation import Lineage, Operation
from progtrain.engine.script.action.trees import program
from progtrain.engine.script.names import FIXED, PARTS, WHOLE_NUMBERS, canonical
from progtrain.engine.script.settings import (
    Setting,
    Value,
    choose_setting,
    duplicates,
    find_setting,
    find_settings,
    imply_defaults,
    literal,
    refuse_value,
    suggest,
    where,
)
from progtrain.engine.script.sources import files_of, with_file, with_script
from progtrain.engine.values import show
from progtrain.engine.yaml_text import number


class SetOperation(Operation):
    """Sets one setting to another value."""

    operation: Literal["set"] = "set"
    setting: str
    #: what the script must say before; leave it out for "whatever it is"
    from_: Annotated[Any, BeforeValidator(number)] = Field(default=None, alias="from")
    to: Annotated[Any, BeforeValidator(number)]

    @property
    def expects(self) -> bool:
        """Whether `from` was given: `None` is a value that a setting can have."""
        return "from_" in self.model_fields_set

    def known(self, refuse: Callable[[str, str], InputError]) -> Operation:
        if why := refuse_value(self.setting, self.to):
            raise refuse(why, "choose a value in range")
        return self

    def touches(self, source: str, lineage: Sequence[Lineage] = ()) -> frozenset[str]:
        setting = choose_setting(find_settings(source), self.setting)
        keys = {canonical(self.setting), *([setting.key] if setting else [])}
        return frozenset(keys | {PARTS[key] for key in keys if key in PARTS})

    def apply(self, source: str, *, lineage: Sequence[Lineage] = ()) -> str:
        """With one literal changed, written in the manner of the one that it replaces."""
        return _written(source, *locate(source, self))

    def verify(self, old: str, new: str, *, lineage: Sequence[Lineage] = ()) -> None:
        setting = choose_setting(find_settings(old), self.setting)
        if setting is None:
            raise self.refusal(f"there was no setting {self.setting}")
        before, after = files_of(old), files_of(new)
        if others := [n for n in {**before, **after} if n != setting.file and before.get(n) != after.get(n)]:
            raise self.refusal(f"{others[0]} changed too")
        if not setting.file:
            self._verify_code(setting, old, new)
            return
        if ast.dump(program(old)) != ast.dump(program(new)):
            raise self.refusal("the script itself changed too")
        if config_files.is_config(setting.file):
            self._verify_config(setting, before[setting.file], after.get(setting.file, ""))
        else:
            self._verify_code(setting, before[setting.file], after.get(setting.file, ""))

    def _verify_config(self, setting: Setting, old: str, new: str) -> None:
        changed = [path for path, *_ in config_files.differences(setting.file, old, new)]
        if others := [path for path in changed if path != setting.name]:
            raise self.refusal(f"something else changed too: {others[0]} in {setting.file}")
        if not changed:
            raise self.refusal("nothing differs")
        self._verify_values(setting, config_files.places(setting.file, new)[setting.name].value)

    def _verify_code(self, setting: Setting, old: str, new: str) -> None:
        pairs = list(_differences(imply_defaults(program(old)), imply_defaults(program(new))))
        if not pairs:
            raise self.refusal("nothing differs")
        for before, after in pairs:
            span = tuple(getattr(before, part, 0) for part in ("lineno", "col_offset", "end_lineno", "end_col_offset"))
            is_literal, value = literal(after)
            if span != setting.span or not is_literal:
                line = getattr(after, "lineno", None)
                raise self.refusal(f"something else changed too: {_shown(after)}", line)
            self._verify_values(setting, value)

    def _verify_values(self, setting: Setting, value: object) -> None:
        if self.expects and not values.same(setting.value, self.from_):
            raise self.refusal(f"{setting.name} was {show(setting.value)}", setting.line)
        if not values.same(value, self.to):
            raise self.refusal(f"{setting.name} is {show(value)}", setting.line)

    def describe(self) -> str:
        before = f" {show(self.from_)}" if self.expects else ""
        return f"{self.setting}{before} → {show(self.to)}"

    def unsaid(self) -> set[str]:
        return set() if self.expects else {"from_"}

    def place(self, script: str, source: str | None) -> str:
        try:
            setting = find_setting(source, self.setting) if source else None
        except InputError:
            setting = None
        if setting is None:
            return f"{script}: `{self.setting}`"
        copied = f", in a copy for {script}" if setting.file else ""
        return f"{setting.file or script}, line {setting.line}: `{setting.name}`{copied}"


def put(source: str, name: str, value: object) -> str:
    """As the action would, in an experiment: there the seed may vary too. Raises `InputError`."""
    setting = choose_setting(find_settings(source), name)
    if setting is not None and values.same(setting.value, value):
        return source
    operation = SetOperation(setting=name, to=value)
    return _written(source, *locate(source, operation, fixed=frozenset(FIXED) - {"seed"}))


def _written(source: str, setting: Setting, value: Value) -> str:
    if not setting.file:
        return with_script(source, replace_literal(source, setting.span, value))
    text = files_of(source)[setting.file]
    if config_files.is_config(setting.file):
        changed = config_files.replaced(setting.file, text, setting.name, value)
    else:
        changed = replace_literal(text, setting.span, value)
    return with_file(source, setting.file, changed)


def _differences(one: ast.AST, other: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """The smallest nodes that differ; literals count as a whole."""
    if ast.dump(one) == ast.dump(other):
        return
    if (literal(one)[0] and literal(other)[0]) or type(one) is not type(other):
        yield one, other
        return
    inner: list[tuple[ast.AST, ast.AST]] = []
    for name in one._fields:
        mine, theirs = getattr(one, name, None), getattr(other, name, None)
        pairs: list[tuple[object, object]] = [(mine, theirs)]
        if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
            pairs = list(zip(mine, theirs, strict=True))
        for left, right in pairs:
            if isinstance(left, ast.AST) and isinstance(right, ast.AST):
                inner.append((left, right))
            elif left != right:
                yield one, other
                return
    for left, right in inner:
        yield from _differences(left, right)


def _shown(node: ast.AST) -> str:
    text = "the number of statements" if isinstance(node, ast.Module) else ast.unparse(node)
    first = text.splitlines()[0] if text else text
    return first if len(first) <= 60 else first[:57] + "..."


def locate(source: str, operation: SetOperation, *, fixed: Collection[str] = FIXED) -> tuple[Setting, Value]:
    """The setting that the operation means, and the value as the script would hold it.

    Raises `InputError` when there is none, several, another value than expected, or no sense in the new one.
    """
    settings = find_settings(source)
    name = operation.setting
    setting = choose_setting(settings, name)
    if setting is None:
        _refuse_shared(source, name)
        near = suggest(settings, name)
        raise InputError(
            f"the script has no setting {name!r} that is a literal",
            fix=f"did you mean {near[0]}?" if near else "`progtrain check` lists the settings that it has",
        )
    if setting.key in fixed:
        raise InputError(
            f"{setting.name} cannot be set by an action: {FIXED[setting.key]}",
            file=setting.file or None,
            place=setting.line,
            fix="choose another setting",
        )
    same = [s for s in duplicates(settings, setting) if s.name == setting.name or setting.name != name]
    others = [] if "".join(name.split()) == setting.full_name != setting.name else same
    if others:
        raise InputError(
            f"{name} is set in {len(others) + 1} places: {setting.name} ({where(setting)}) and "
            + ", ".join(f"{s.name} ({where(s)})" for s in others),
            file=others[0].file or None,
            place=others[0].line,
            fix="let the script take them from one constant, or name one of the places in the action",
        )
    if operation.expects and not values.same(operation.from_, setting.value):
        raise InputError(
            f"the action expects {name} = {show(operation.from_)}, but "
            f"{setting.file or 'the script'} says {show(setting.value)}",
            file=setting.file or None,
            place=setting.line,
            fix=f"write `from: {show(setting.value)}` or leave `from` out",
        )
    return setting, _fitted(setting, operation.to)


def _refuse_shared(source: str, name: str) -> None:
    """What stands in a config file, and yet is no setting. Raises `InputError`."""
    for file, text in files_of(source).items():
        try:
            paths = config_files.flat(file, text) if config_files.is_config(file) else {}
        except InputError:
            continue  # `check` tells of it
        for path in paths:
            named = name in (path, f"{file}:{path}") or canonical(path) == canonical(name)
            if named and path not in config_files.places(file, text):
                raise InputError(
                    f"{path} cannot be set: an alias repeats it, or it is worked out from others",
                    file=file,
                    fix="write its value out there",
                )


def _fitted(setting: Setting, value: object) -> Value:
    def refuse(reason: str) -> InputError:
        fix = "choose a value of the same kind, in range"
        return InputError(reason, file=setting.file or None, place=setting.line, fix=fix)

    old = setting.value
    if why := refuse_value(setting.key, value):
        raise refuse(why)
    if values.same(old, value):
        raise refuse(f"{setting.name} is {show(old)} already")
    if isinstance(value, list | tuple):
        return _fitted_items(setting, value, refuse(f"{setting.name} holds {show(old)}, not a list"))
    if not isinstance(value, int | float | str | None):
        raise refuse(f"{value!r} is not a value that a setting can have")
    if value is None or old is None:
        return value
    if _kind(old) != _kind(value):
        raise refuse(f"{setting.name} holds {_kind(old)}, and {value!r} is {_kind(value)}")
    return _number_like(old, value, setting.key)


def _fitted_items(setting: Setting, value: list[object] | tuple[object, ...], refusal: InputError) -> Value:
    plain = all(isinstance(item, int | float | str) for item in value)
    if not isinstance(setting.value, tuple | None) or not plain or not value:
        raise refusal
    return tuple(value)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float):
        return "a number"
    return "text" if isinstance(value, str) else "a list"


def _number_like(old: Value, value: int | float | str, key: str) -> int | float | str:
    """1 stays 1.0 where the script has a float, and 15.0 becomes 15 where it counts in whole numbers."""
    if isinstance(value, bool | str):
        return value
    if isinstance(old, float) and key not in WHOLE_NUMBERS:
        return float(value)
    return int(value) if value == int(value) and isinstance(old, int) else value
