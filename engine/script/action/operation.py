"""What an action is: one of four operations, as written in `action-extract.md`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from progtrain.engine.complaints import in_words
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.catalogue import CATALOGUE, RecipeInfo, find_recipe
from progtrain.engine.script.names import nearest
from progtrain.engine.script.settings import refuse_value

# YAML 1.1 reads 3e-4 as text because it has no dot; nobody means text by it
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def _number(value: Any) -> Any:
    if isinstance(value, str) and _EXPONENT.fullmatch(value.strip()):
        return float(value)
    return [_number(item) for item in value] if isinstance(value, list) else value


def _fenceless(body: str) -> str:
    """Without what would end the block in `action-extract.md` that it stands in."""
    if "```" in body or "~~~" in body:
        raise ValueError("a body must not hold ``` or ~~~")
    return "\n".join(line.rstrip() for line in body.strip("\n").split("\n")) + "\n"


class _Operation(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SetOperation(_Operation):
    """Sets one setting to another value."""

    operation: Literal["set"] = "set"
    setting: str
    #: what the script must say before; leave it out for "whatever it is"
    from_: Annotated[Any, BeforeValidator(_number)] = Field(default=None, alias="from")
    to: Annotated[Any, BeforeValidator(_number)]

    @property
    def expects(self) -> bool:
        """Whether `from` was given: `None` is a value that a setting can have."""
        return "from_" in self.model_fields_set


class RecipeOperation(_Operation):
    """Applies one of the recipes."""

    operation: Literal["recipe"] = "recipe"
    recipe: str
    parameters: dict[str, Annotated[Any, BeforeValidator(_number)]] = {}


class RevertOperation(_Operation):
    """Takes the action that made `version` out again."""

    operation: Literal["revert"] = "revert"
    version: str = Field(pattern=r"^v\d{3,}$")


class EditOperation(_Operation):
    """Gives one function or method another body. Only where the rules allow code edits."""

    operation: Literal["edit"] = "edit"
    #: `step_size`, or `Net.forward`
    function: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$")
    #: its statements, not indented
    body: Annotated[str, AfterValidator(_fenceless)] = Field(min_length=1, max_length=20_000)


Operation = Annotated[
    SetOperation | RecipeOperation | RevertOperation | EditOperation, Field(discriminator="operation")
]
_ADAPTER: TypeAdapter[Operation] = TypeAdapter(Operation)
_Refusal = Callable[[str, str], InputError]
_KINDS: dict[str, type[_Operation]] = {
    "set": SetOperation,
    "recipe": RecipeOperation,
    "revert": RevertOperation,
    "edit": EditOperation,
}


def parse_operation(data: Any, *, file: Path | str | None = None, place: str | int | None = None) -> Operation:
    """Raises `InputError` for anything unknown, with the nearest known names."""

    def refuse(reason: str, fix: str) -> InputError:
        return InputError(reason, file=file, place=place, fix=fix)

    if not isinstance(data, Mapping):
        raise refuse("an operation is a mapping", "write `operation: set`, `setting: ...`, `to: ...`")
    kind = data.get("operation")
    if kind not in _KINDS:
        raise refuse(
            "the operation is not named" if kind is None else f"unknown operation {kind!r}",
            f"write one of `operation: {'`, `operation: '.join(_KINDS)}`",
        )
    _known_keys(data, str(kind), refuse)
    try:
        operation = _ADAPTER.validate_python(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][-1]) if first["loc"] else "operation"
        raise refuse(f"{key}: {in_words(first)}", f"correct `{key}`") from error
    if isinstance(operation, RecipeOperation):
        return _known_recipe(operation, refuse)
    if isinstance(operation, SetOperation) and (why := refuse_value(operation.setting, operation.to)):
        raise refuse(why, "choose a value in range")
    return operation


def _known_keys(data: Mapping[Any, Any], kind: str, refuse: _Refusal) -> None:
    fields = [info.alias or name for name, info in _KINDS[kind].model_fields.items()]
    for key in data:
        if key not in fields and key != "from_":
            close = nearest(str(key), fields)
            raise refuse(
                f"unknown key {key!r} in a `{kind}` operation",
                f"did you mean `{close[0]}`?" if close else f"the keys are {', '.join(fields)}",
            )
    missing = [
        info.alias or name
        for name, info in _KINDS[kind].model_fields.items()
        if info.is_required() and (info.alias or name) not in data
    ]
    if missing:
        raise refuse(f"`{missing[0]}` is missing in the `{kind}` operation", f"add `{missing[0]}: ...`")


def _known_recipe(operation: RecipeOperation, refuse: _Refusal) -> RecipeOperation:
    info = find_recipe(operation.recipe)
    if info is None:
        names = [recipe.id for recipe in CATALOGUE]
        close = nearest(operation.recipe, names)
        raise refuse(
            f"unknown recipe {operation.recipe!r}",
            f"did you mean `{close[0]}`?" if close else f"the recipes are {', '.join(names)}",
        )
    for name, value in operation.parameters.items():
        if name not in info.parameters:
            close = nearest(name, info.parameters)
            known = ", ".join(info.parameters) or "it has none"
            raise refuse(
                f"recipe {info.id} has no parameter {name!r}",
                f"did you mean `{close[0]}`?" if close else f"its parameters: {known}",
            )
        if why := _refuse_parameter(info, name, value):
            raise refuse(f"{name}: {why}", "choose a value in range")
    return operation.model_copy(update={"recipe": info.id})


def _refuse_parameter(info: RecipeInfo, name: str, value: object) -> str | None:
    text = info.keys[name] == "monitor"
    if value is None and info.parameters[name] is None:
        return None
    if text != isinstance(value, str):
        return f"{value!r} is not {'a name' if text else 'a number'}"
    if not text and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"{value!r} is not a number"
    if name == "share" and isinstance(value, int | float) and not 0 < value < 1:
        return "the share of all steps lies between 0 and 1"
    return refuse_value(info.keys[name], value)


def to_yaml(operation: Operation) -> str:
    """The block that stands in `action-extract.md`; `parse_operation` reads it back."""
    data = operation.model_dump(by_alias=True)
    if isinstance(operation, SetOperation) and not operation.expects:
        del data["from"]
    if isinstance(operation, RecipeOperation) and not operation.parameters:
        del data["parameters"]
    return yaml.dump(
        _plain(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1000
    )


class _Dumper(yaml.SafeDumper):
    """Code stands in its block as a person would write it."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def describe_operation(operation: Operation) -> str:
    """In one line: `learning_rate 0.001 → 0.0003`, `add gradient_clipping (max_norm=1.0)`, `undo v002`."""
    if isinstance(operation, RevertOperation):
        return f"undo {operation.version}"
    if isinstance(operation, EditOperation):
        lines = operation.body.count("\n")
        return f"new body for {operation.function} ({lines} line{'s' if lines > 1 else ''})"
    if isinstance(operation, SetOperation):
        before = f" {show(operation.from_)}" if operation.expects else ""
        return f"{operation.setting}{before} → {show(operation.to)}"
    info = find_recipe(operation.recipe)
    verb = info.candidate_id.split("_", 1)[0] if info else "apply"
    given = ", ".join(f"{name}={show(value)}" for name, value in operation.parameters.items())
    return f"{verb} {operation.recipe}" + (f" ({given})" if given else "")


def show(value: object) -> str:
    """A value as a person writes it: 3e-5 rather than 3e-05."""
    return re.sub(r"e([+-])0+(?=\d)", lambda m: "e" + m[1].replace("+", ""), str(value))
