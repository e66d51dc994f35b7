"""The training script, run as its user runs it up to the point where its training would begin."""

from __future__ import annotations

import builtins
import functools
import importlib
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .common import ROOT, OtherModel, calling
from .scripts import beside, own_words
from .untouched import Untouched

#: where a Trainer is -> the method that trains
TRAINERS = {
    "lightning.pytorch.trainer.trainer": "fit",
    "pytorch_lightning.trainer.trainer": "fit",
    "transformers.trainer": "train",
}


class Halt(BaseException):
    """Ends the training script where its training would begin. No `except Exception` of its own catches it."""


class Run:
    """The training script, run as its user runs it, until it calls fit() or train(); `take` gets the call."""

    def __init__(self, path: Path, arguments: list[str], take: Callable[..., None]) -> None:
        self.path, self.take = path, take
        self.arguments = own_words(arguments, path)
        self.patched: list[tuple[type, str, Any]] = []
        self.error: BaseException | None = None
        self.taken = False

    def __call__(self) -> bool:
        """False: it ends, or takes its first training step, without a Trainer. Raises `EvalError` for its errors."""
        importing, argv, path, cwd = builtins.__import__, sys.argv, list(sys.path), Path.cwd()

        def patching(*args: Any, **kwargs: Any) -> Any:
            module = importing(*args, **kwargs)
            self.patch()
            return module

        hook: Any = getattr(importlib.import_module("torch.optim.optimizer"), "register_optimizer_step_pre_hook", None)
        handle = hook(self.plain_step) if hook else None
        tensor: Any = importlib.import_module("torch").Tensor
        self.patched.append((tensor, "backward", tensor.backward))
        tensor.backward = self.plain_step  # weights may be updated by hand
        builtins.__import__ = patching
        sys.argv = [str(self.path), *self.arguments]
        del sys.path[0]
        beside(self.path)
        try:
            self.patch()
            with Untouched(ROOT), calling(f"running {self.path.name} up to its training"):
                try:
                    runpy.run_path(str(self.path), run_name="__main__")
                except Halt:
                    pass
                except SystemExit as ended:
                    if ended.code not in (None, 0) and not self.taken:
                        raise
        finally:
            builtins.__import__, sys.argv, sys.path[:] = importing, argv, path
            os.chdir(cwd)
            for owner, name, function in self.patched:
                setattr(owner, name, function)
            if handle is not None:
                handle.remove()
        if self.error is not None and not self.taken:
            raise self.error
        return self.taken

    def patch(self) -> None:
        for name, method in TRAINERS.items():
            owner = getattr(sys.modules.get(name), "Trainer", None)
            function = getattr(owner, method, None)
            if owner is not None and function is not None and not any(owner is done for done, _, _ in self.patched):
                self.patched.append((owner, method, function))
                setattr(owner, method, self.instead(function))

    def instead(self, function: Any) -> Any:
        @functools.wraps(function)
        def fit(trainer: Any, *args: Any, **kwargs: Any) -> None:
            if self.taken:
                raise Halt
            try:
                self.take(trainer, *args, **kwargs)
            except OtherModel as error:  # another fit() of the script may be the one
                self.error = error
                return
            except BaseException as error:
                self.error = error
                raise Halt from error
            self.taken = True
            raise Halt

        return fit

    def plain_step(self, *_: Any) -> None:
        raise Halt
