"""What an action is: an operation with four verbs, `touches`, `apply`, `verify` and `describe`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import yaml
from pydantic import BaseModel, ConfigDict

from progtrain.engine.errors import InputError


class Operation(BaseModel, ABC):
    """Each of the five kinds stands in a module of its own; `operations.parse_operation` reads them."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @abstractmethod
    def touches(self, source: str, lineage: Sequence[Lineage] = ()) -> frozenset[str]:
        """What locks are checked against: canonical keys, recipe and candidate id, and the parts of the script
        ("optimizer", "schedule", "loss", "model", "data", "trainer") that it changes in `source`."""

    @abstractmethod
    def apply(self, source: str, *, lineage: Sequence[Lineage] = ()) -> str:
        """The script with it applied, comments and layout kept.

        `lineage` ends with the version that `source` is; undoing needs it. Raises `InputError` that names the
        precondition which fails.
        """

    @abstractmethod
    def verify(self, old: str, new: str, *, lineage: Sequence[Lineage] = ()) -> None:
        """Raises `InputError` unless `new` differs from `old` by exactly what this declares."""

    @abstractmethod
    def describe(self) -> str:
        """In one line: `learning_rate 0.001 → 0.0003`, `add gradient_clipping (max_norm=1.0)`, `undo v002`."""

    def known(self, refuse: Callable[[str, str], InputError]) -> Operation:
        """Itself, with its names as the program knows them. Raises what `refuse(reason, fix)` makes."""
        return self

    def place(self, script: str, source: str | None) -> str:
        """Where it changes `script`, a file name in Markdown; `source` is its text."""
        return f"{script}, nothing else"

    def to_yaml(self) -> str:
        """The block that stands in `action-extract.md`; `operations.parse_operation` reads it back."""
        data = self.model_dump(mode="json", by_alias=True, exclude=self.unsaid())
        block = yaml.compose(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
        assert isinstance(block, yaml.MappingNode)
        for _, value in block.value:
            if isinstance(value, yaml.ScalarNode) and "\n" in value.value:
                value.style = "|"  # code stands there as a person would write it
        return yaml.serialize(block, allow_unicode=True, width=1000)

    def unsaid(self) -> set[str]:
        """Fields that its block leaves out."""
        return set()

    def refusal(self, reason: str, line: int | None = None) -> InputError:
        """For `verify`."""
        return InputError(
            f"the script does not differ by exactly this action ({self.describe()}): {reason}",
            place=line,
            fix="make no other change in the script that an action makes; edit the action instead",
        )


@dataclass(frozen=True)
class Lineage:
    """One version: its script, and the action that made it from `base`."""

    version: str
    source: str
    operation: Operation | None = None
    base: str | None = None


def ancestry(newest: str, bases: Mapping[str, str | None]) -> list[str]:
    """The chain of versions that led to `newest`, the oldest first. `bases`: what each known version was made from."""
    chain: list[str] = []
    current: str | None = newest
    while current is not None and current in bases and current not in chain:
        chain.append(current)
        current = bases[current]
    return chain[::-1]
