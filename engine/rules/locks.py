"""What `user_instruction.md` comes to. Light: where there is no instruction, nobody waits for its phrases."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class InstructionLine:
    text: str
    #: in plain words, what the engine makes of it; None: nothing, it is not enforced
    understood: str | None = None
    #: canonical setting keys, recipe ids, and parts: optimizer, schedule, loss, model, data, trainer
    locks: frozenset[str] = frozenset()
    #: the only things that may change; None: the line is not of that kind
    only: frozenset[str] | None = None


@dataclass(frozen=True)
class Instruction:
    lines: tuple[InstructionLine, ...] = ()

    @cached_property
    def locked(self) -> frozenset[str]:
        return frozenset[str]().union(*(line.locks for line in self.lines))

    @cached_property
    def only(self) -> frozenset[str] | None:
        """What several such lines allow, together; None when there is no such line."""
        found = [line.only for line in self.lines if line.only is not None]
        return frozenset[str]().union(*found) if found else None

    @cached_property
    def not_enforced(self) -> tuple[str, ...]:
        return tuple(line.text for line in self.lines if line.understood is None)
