"""Text fields that take keys in the order in which they come.

Textual lets a bound key (an arrow, backspace) travel up to the app before it does anything. Letters that came in the
same packet, as over a slow line, overtake it and land in the wrong place. Here it acts at once.
"""

from __future__ import annotations

from textual import events
from textual.binding import NoBinding
from textual.widget import Widget
from textual.widgets import Input, TextArea


class LineField(Input):
    async def on_key(self, event: events.Key) -> None:
        await _act_now(self, event)


class Editor(TextArea):
    async def on_key(self, event: events.Key) -> None:
        await _act_now(self, event)


async def _act_now(field: Widget, event: events.Key) -> None:
    try:
        bindings = field._bindings.get_bindings_for_key(event.key)
    except NoBinding:
        return
    event.stop()
    event.prevent_default()
    for binding in bindings:
        await field.run_action(binding.action)
