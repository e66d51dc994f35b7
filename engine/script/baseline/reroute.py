"""Making path expressions follow DATASET_ID and VERSION by changing the literals that they are made of."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from progtrain.engine.script.baseline.paths import Module
from progtrain.engine.script.baseline.template import Piece, Template
from progtrain.engine.script.editor import Edit


@dataclass(frozen=True)
class Name:
    """A name in the script, put into a path."""

    source: str


Part = str | Name
Location = tuple[Module, ast.expr]


class Unclear(Exception):
    """The change would touch something that two uses need differently, or that is no literal."""


@dataclass(frozen=True)
class _Cut:
    part: int
    start: int
    end: int
    parts: tuple[Part, ...]


class Rerouter:
    """Collects changes, then gives each module's edits. Changes of the same place must agree."""

    def __init__(self) -> None:
        self._cuts: dict[Location, list[_Cut]] = defaultdict(list)
        self._wholes: dict[Location, tuple[Part, ...]] = {}

    def touched(self) -> list[Module]:
        return list(dict.fromkeys(module for module, _ in (*self._cuts, *self._wholes)))

    def change(self, template: Template, start: int, end: int, parts: Sequence[Part], whole: Location) -> Location:
        """Puts `parts` in the place of characters `start` to `end` of what the expression `whole` comes to.

        Returns the literal or expression that changes, and its module. Raises `Unclear`.
        """
        piece, at = _piece_at(template, start)
        if piece is not None and piece.node is not None and piece.module is not None and end - at <= len(piece.text):
            offset = piece.start - at
            self._cut((piece.module, piece.node), _Cut(piece.part, start + offset, end + offset, tuple(parts)))
            return piece.module, piece.node
        definition = self._defining(template, end) if start == 0 else None
        if definition is not None:
            self._whole(definition, tuple(parts))
            return definition
        kept = [*_parts(template, 0, start), *parts, *_parts(template, end, len(template.text))]
        self._whole(whole, tuple(kept))
        return whole

    def _cut(self, place: Location, cut: _Cut) -> None:
        if self._inside_whole(place):
            return
        for other in self._cuts[place]:
            if other == cut:
                return
            if (
                other.part == cut.part
                and other.start < max(cut.end, cut.start + 1)
                and cut.start < max(other.end, other.start + 1)
            ):
                raise Unclear
        self._cuts[place].append(cut)

    def _whole(self, place: Location, parts: tuple[Part, ...]) -> None:
        if self._wholes.setdefault(place, parts) != parts:
            raise Unclear
        inner = set(ast.walk(place[1]))
        for other in [key for key in self._cuts if key[1] in inner]:
            del self._cuts[other]

    def _inside_whole(self, place: Location) -> bool:
        return any(place[1] in set(ast.walk(node)) for _, node in self._wholes)

    def _defining(self, template: Template, end: int) -> Location | None:
        """The expression that comes to exactly the first `end` characters."""
        lead = template.pieces[0]
        if lead.node is None or lead.module is None:
            return None
        node: ast.AST | None = lead.node
        while node is not None:
            found = lead.module.template(node) if isinstance(node, ast.expr) else None
            if found is not None and found.text == template.text[:end]:
                return (lead.module, node) if isinstance(node, ast.expr) else None
            if found is not None and len(found.text) > end:
                return None
            node = lead.module.parents.get(node)
            if isinstance(node, ast.stmt):
                return None
        return None

    def edits(self, module: Module) -> list[Edit]:
        """Raises `Unclear` where something cannot be written down."""
        edits: list[Edit] = []
        for (owner, node), cuts in self._cuts.items():
            if owner is module:
                edits.append(module.source.replace(node, _literal(module, node, cuts)))
        for (owner, node), parts in self._wholes.items():
            if owner is module:
                text = render(parts, _quote(module, node))
                template = module.template(node)
                if template is not None and template.kind == "path":
                    name, imports = module.source.import_name("pathlib", "Path")
                    edits += imports
                    text = f"{name}({text})"
                edits.append(module.source.replace(node, text))
        return edits


def _piece_at(template: Template, start: int) -> tuple[Piece | None, int]:
    """The piece in which a range begins, and where that piece begins."""
    at = 0
    for piece in template.pieces:
        if at <= start < at + len(piece.text) or (start == at and not piece.text):
            return piece, at
        at += len(piece.text)
    return None, at


def _parts(template: Template, start: int, end: int) -> list[Part]:
    """What lies between, as text and names."""
    found: list[Part] = []
    at = 0
    for piece in template.pieces:
        low, high = max(start - at, 0), min(end - at, len(piece.text))
        if low < high:
            if piece.source is not None:
                found.append(Name(piece.source))
            elif piece.text.startswith("{"):
                raise Unclear
            else:
                found.append(piece.text[low:high])
        at += len(piece.text)
    return found


def _literal(module: Module, node: ast.expr, cuts: list[_Cut]) -> str:
    parts: list[Part] = []
    values = node.values if isinstance(node, ast.JoinedStr) else [node]
    for number, value in enumerate(values):
        if isinstance(value, ast.FormattedValue):
            parts.append(Name(_inside(value)))
            continue
        assert isinstance(value, ast.Constant)
        text, at = str(value.value), 0
        for cut in sorted((c for c in cuts if c.part == number), key=lambda c: c.start):
            parts += [text[at : cut.start], *cut.parts]
            at = cut.end
        parts.append(text[at:])
    return render([part for part in parts if part != ""], _quote(module, node))


def _inside(value: ast.FormattedValue) -> str:
    """What stands between the braces: `x!r:>3`."""
    return ast.unparse(ast.JoinedStr([value]))[2:-1].removeprefix("{").removesuffix("}")


def _quote(module: Module, node: ast.expr) -> str:
    start = module.source.segment(node).lstrip("rRfFbBuU(")
    return "'" if start.startswith("'") else '"'


def render(parts: Sequence[Part], quote: str = '"') -> str:
    """`["Models/", Name("VERSION")]` -> `f"Models/{VERSION}"`. Raises `Unclear`."""
    if len(parts) == 1 and isinstance(parts[0], Name):
        return parts[0].source
    if not any(isinstance(part, Name) for part in parts):
        return _quoted("".join(str(part) for part in parts), quote)
    body = ""
    for part in parts:
        if isinstance(part, Name):
            other = "'" if quote == '"' else '"'
            inner = part.source.replace(quote, other) if other not in part.source else part.source
            if quote in inner or "\\" in inner:
                raise Unclear
            body += "{" + inner + "}"
        else:
            body += _quoted(part, quote)[1:-1].replace("{", "{{").replace("}", "}}")
    return f"f{quote}{body}{quote}"


def _quoted(text: str, quote: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(quote, "\\" + quote).replace("\n", "\\n")
    return f"{quote}{escaped}{quote}"
