"""What a path expression comes to: the pieces of its text, and the literals that they are written in."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from progtrain.engine.script.baseline.paths import Module

#: what only a run can tell
UNKNOWN = "{?}"
#: the script's own place
HERE = "{__file__}"


@dataclass(frozen=True)
class Piece:
    text: str
    #: the literal that it comes from (a plain string, or a part of an f-string) and where in its value it begins
    node: ast.expr | None = None
    module: Module | None = field(default=None, repr=False)
    part: int = 0
    start: int = 0
    #: as the script spells something that is not known, or that stays a name
    source: str | None = None


@dataclass(frozen=True)
class Template:
    pieces: tuple[Piece, ...]
    kind: Literal["text", "path"] = "text"
    #: length of what the leftmost name in the expression came to: the folder that others share
    base: int = 0

    @cached_property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def known(self) -> bool:
        return any(piece.text != UNKNOWN for piece in self.pieces)


def shared(template: Template | None) -> Template | None:
    """What a name came to: a folder that other expressions may share."""
    return template and Template(template.pieces, template.kind, len(template.text))


def parent_folder(template: Template | None) -> Template | None:
    if template is None:
        return None
    if template.text in {HERE, ""}:
        return Template((Piece(""),), "path")
    cut = template.text.rfind("/")
    kept = first(template.pieces, max(cut, 0))
    return Template(kept, template.kind, min(template.base, max(cut, 0)))


def first(pieces: tuple[Piece, ...], length: int) -> tuple[Piece, ...]:
    """The pieces that make the first `length` characters."""
    kept: list[Piece] = []
    for piece in pieces:
        if length <= 0:
            break
        kept.append(
            piece if len(piece.text) <= length else Piece(piece.text[:length], piece.node, piece.module, piece.part)
        )
        length -= len(piece.text)
    return tuple(kept)
