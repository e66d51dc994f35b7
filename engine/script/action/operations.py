"""Reading an operation: one of five kinds, as written in `action-extract.md`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from progtrain.engine.complaints import in_words
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.code_edit import EditOperation
from progtrain.engine.script.action.data import DataOperation
from progtrain.engine.script.action.operation import Lineage, Operation
from progtrain.engine.script.action.recipe import RecipeOperation
from progtrain.engine.script.action.revert import RevertOperation
from progtrain.engine.script.action.set import SetOperation
from progtrain.engine.script.names import nearest

__all__ = [
    "DataOperation",
    "EditOperation",
    "Lineage",
    "Operation",
    "RecipeOperation",
    "RevertOperation",
    "SetOperation",
    "parse_operation",
]

_Refusal = Callable[[str, str], InputError]
_KINDS: dict[str, type[Operation]] = {
    "set": SetOperation,
    "recipe": RecipeOperation,
    "revert": RevertOperation,
    "edit": EditOperation,
    "data": DataOperation,
}


def parse_operation(data: Any, *, file: Path | str | None = None, place: str | int | None = None) -> Operation:
    """Raises `InputError` for anything unknown, with the nearest known names."""

    def refuse(reason: str, fix: str) -> InputError:
        return InputError(reason, file=file, place=place, fix=fix)

    if not isinstance(data, Mapping):
        raise refuse("an operation is a mapping", "write `operation: set`, `setting: ...`, `to: ...`")
    kind = data.get("operation")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise refuse(
            "the operation is not named" if kind is None else f"unknown operation {kind!r}",
            f"write one of `operation: {'`, `operation: '.join(_KINDS)}`",
        )
    _known_keys(data, kind, refuse)
    try:
        operation = _KINDS[kind].model_validate(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][-1]) if first["loc"] else "operation"
        raise refuse(f"{key}: {in_words(first)}", f"correct `{key}`") from error
    return operation.known(refuse)


def _known_keys(data: Mapping[Any, Any], kind: str, refuse: _Refusal) -> None:
    fields = {info.alias or name: info for name, info in _KINDS[kind].model_fields.items()}
    for key in data:
        if key not in fields and key != "from_":
            close = nearest(str(key), fields)
            raise refuse(
                f"unknown key {key!r} in a `{kind}` operation",
                f"did you mean `{close[0]}`?" if close else f"the keys are {', '.join(fields)}",
            )
    if missing := next((key for key, info in fields.items() if info.is_required() and key not in data), None):
        raise refuse(f"`{missing}` is missing in the `{kind}` operation", f"add `{missing}: ...`")
