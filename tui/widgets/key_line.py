"""The bottom line of every screen: what its keys do."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.screen import Screen
from textual.widget import Widget


class KeyLine(Widget):
    """One widget for all keys. Textual's Footer has one for each, made anew whenever another widget gets the focus."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-line--key"}
    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; background: $footer-background; color: $footer-foreground; }
    KeyLine > .key-line--key { color: $footer-key-foreground; background: $footer-key-background; text-style: bold; }
    """

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        self.refresh()

    def render(self) -> Text:
        style = self.get_component_rich_style("key-line--key", partial=True)
        line = Text(no_wrap=True, overflow="crop")
        shown: set[str] = set()
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            if not binding.show or binding.action in shown:
                continue
            shown.add(binding.action)
            start = len(line)
            line.append(self.app.get_key_display(binding), style).append(f" {binding.description}  ")
            line.stylize("dim" if not enabled else "", start)
            line.apply_meta({"@click": f"app.simulate_key('{binding.key}')"}, start, len(line) - 2)
        return line
