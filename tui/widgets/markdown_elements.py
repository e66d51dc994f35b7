"""How Rich lays out our documents: headings on the left, fences without a box. Imported with the first document."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement, TableElement
from rich.measure import Measurement
from rich.padding import Padding
from rich.style import Style
from rich.text import Text

_WIDEST = 400

#: marks the lines of headings, after which no line is left free
HEADING = Style(meta={"heading": True})


class LeftHeading(Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        self.text.stylize(HEADING)
        yield self.text


class PlainCode(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Padding(Text(str(self.text).rstrip(), style="bold"), (0, 0, 0, 2))


class WideTable(TableElement):
    """As wide as it has to be: half a number says nothing, and one can scroll sideways."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            wide = options.update(width=_WIDEST)
            needed = Measurement.get(console, wide, table).maximum  # type: ignore[arg-type]
            yield from console.render(table, options.update(width=max(options.max_width, needed)))  # type: ignore[arg-type]


class PlainMarkdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": LeftHeading,
        "fence": PlainCode,
        "code_block": PlainCode,
        "table_open": WideTable,
    }
