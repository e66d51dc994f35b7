"""`mcp` is an extra: what needs it is imported by its own commands, and says how to install it."""

from __future__ import annotations

import importlib
from types import ModuleType

from progtrain.engine.errors import InputError


def with_mcp(name: str) -> ModuleType:
    """A module of this folder that imports `mcp`. Raises `InputError` where that is not installed."""
    try:
        return importlib.import_module(f"progtrain.engine.agents.{name}")
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        fix = "pip install 'progtrain[mcp]'"
        raise InputError("this needs the package mcp, 2.3 or later, which is not installed", fix=fix) from error
