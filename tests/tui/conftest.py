"""Fixtures of real experiments, for the screen that shows them; and styles that are parsed once for all apps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from textual.css.stylesheet import Stylesheet

from tests.experiment.conftest import faults, lab, planned  # noqa: F401 - fixtures


@pytest.fixture(scope="session", autouse=True)
def _styles_are_parsed_once() -> Iterator[None]:
    """Hundreds of apps have the same styles. Each keeps what it parsed; here they all share it."""
    parse = Stylesheet._parse_rules
    kept: dict[Any, Any] = {}

    def once(self: Stylesheet, css: str, read_from: Any, *how: Any, **named: Any) -> Any:
        key = (css, read_from, how, *sorted({**named, **self._variables}.items()))
        if key not in kept:
            kept[key] = parse(self, css, read_from, *how, **named)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", once)
        yield
