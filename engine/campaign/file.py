"""A campaign's file, YAML or JSON: read whole and refused whole. No key in it is passed over in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator, ValidationError

from progtrain.engine import values
from progtrain.engine.complaints import first_problem
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand
from progtrain.engine.experiment.plan import Keyed, Name, Resources, Value, each_once
from progtrain.engine.files import read_text
from progtrain.engine.script.action.operations import parse_operation
from progtrain.engine.script.names import canonical, nearest
from progtrain.engine.workspace import Workspace, version_number
from progtrain.engine.yaml_text import read_mapping

_EXAMPLE = "write `variants: [{version: v001, set: {learning_rate: 0.01}}]`"


def _seeds(value: object) -> int | tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 99:
        return value
    listed = value if isinstance(value, list | tuple) else []
    if not 2 <= len(listed) <= 99 or any(
        isinstance(one, bool) or not isinstance(one, int) or one < 0 for one in listed
    ):
        raise ValueError("a number from 1 to 99, or a list of two seeds or more such as [7, 11], belongs here")
    return each_once(tuple(listed))


#: so many, or these
Seeds = Annotated[int | tuple[int, ...], PlainValidator(_seeds)]


class Variant(Keyed):
    """A version with one change: other settings, or an action as `action-extract.md` has it."""

    version: str
    #: of its runs; made of version and change where it is left out
    name: Name = ""
    settings: dict[str, Value] = Field(default={}, alias="set")
    action: dict[str, Any] | None = None
    #: trained with so many seeds, or with these; 0: as the campaign has it
    seeds: Seeds = Field(default=0, validate_default=False)

    @property
    def trainings(self) -> int:
        return len(self.seeds) if isinstance(self.seeds, tuple) else self.seeds

    note: str = ""

    @property
    def change(self) -> str:
        """In words. Raises `InputError` for an action that is none."""
        if self.action is not None:
            return parse_operation(self.action).describe()
        return ", ".join(f"{key} {values.show(value)}" for key, value in self.settings.items())


class File(Keyed):
    #: by default the file's own
    campaign: Name = ""
    goal: str = ""
    seeds: Seeds = 1
    variants: list[Variant]
    #: as in the plan of an experiment
    resources: Resources = Resources()


def read(ws: Workspace, path: Path) -> File:
    """With names and seeds filled in. Raises `InputError` with file, place, reason and fix."""
    try:
        found = File.model_validate(read_mapping(read_text(path), path))
        # the file's own name has to do for a folder as well
        whole = File.model_validate({"campaign": found.campaign or path.stem, "variants": []})
    except ValidationError as error:
        raise first_problem(error, path) from error
    named = [_filled(variant, found) for variant in found.variants]
    found = found.model_copy(update={"campaign": whole.campaign, "variants": named})
    if problem := next(_problems(ws, found, path), None):
        raise problem
    return found


def _filled(variant: Variant, file: File) -> Variant:
    said: Mapping[str, Any] = variant.settings
    if variant.action is not None:
        said = {str(variant.action.get("operation", "action")): variant.action.get("recipe", _said(variant.action))}
    name = variant.name or f"{variant.version}_{expand.name_of(said)}"
    return variant.model_copy(update={"name": name, "seeds": variant.seeds or file.seeds})


def _said(action: Mapping[str, Any]) -> str:
    return f"{action.get('setting', '')}{values.show(action.get('to', ''))}"


def _problems(ws: Workspace, file: File, path: Path) -> Iterator[InputError]:
    def wrong(place: str, reason: str, fix: str) -> InputError:
        return InputError(reason, file=path, place=f"key {place}", fix=fix)

    if not file.variants:
        yield wrong("variants", "a campaign has at least one variant", _EXAMPLE)
    for name in ("parallel", "max_queued"):
        if name in file.resources.model_fields_set:
            yield wrong(f"resources.{name}", "a campaign trains one variant after the other", "take the key out")
    known = ws.versions()
    for at, variant in enumerate(file.variants):
        place = f"variants[{at}]"
        if variant.version not in known:
            near = nearest(variant.version, known, 1)
            fix = f"did you mean {near[0]}?" if near else f"versions are: {', '.join(known) or 'none yet'}"
            yield wrong(f"{place}.version", f"there is no version {variant.version!r}", fix)
        if variant.settings and variant.action is not None:
            yield wrong(place, "set and action are two changes", "keep one of them, or make two variants")
        if not variant.settings and variant.action is None:
            fix = f"give it set or action; progtrain repeat {variant.version} trains a version as it is"
            yield wrong(place, "a variant changes something, and this one does not", fix)
        if version_number(variant.name) is not None:
            yield wrong(f"{place}.name", f"{variant.name} is what a version is called", "choose another name")
        for name in variant.settings:
            if canonical(name) == "seed":
                yield wrong(f"{place}.set.{name}", "the seed is no change", "take it out; `seeds: 3` trains with three")
        yield from _twins(file.variants[:at], variant, place, wrong)


def _twins(before: Sequence[Variant], variant: Variant, place: str, wrong: Any) -> Iterator[InputError]:
    for other in before:
        if other.name == variant.name:
            yield wrong(f"{place}.name", f"two variants are called {variant.name}", "give them names of their own")
        elif _identity(other) == _identity(variant):
            reason = f"{other.name} and {variant.name} are the same change to {variant.version}"
            yield wrong(place, reason, "take one of them out; `seeds: 3` trains one with three seeds")


def _identity(variant: Variant) -> tuple[str, str, str]:
    settings = sorted((canonical(name), values.show(value)) for name, value in variant.settings.items())
    return variant.version, repr(settings), repr(sorted((variant.action or {}).items(), key=repr))
