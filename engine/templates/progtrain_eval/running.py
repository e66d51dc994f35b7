"""The training script, run as its user runs it up to the point where its training would begin."""

from __future__ import annotations

import builtins
import fcntl
import functools
import importlib
import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .common import ROOT, OtherModel, calling
from .scripts import beside, own_words

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


class Untouched:
    """What the script writes, moves or deletes in the workspace on its way to fit() is put back afterwards."""

    #: path -> its copy; None: it was not there
    before: dict[Path, Path | None] = {}  # noqa: RUF012 - one at a time

    def __init__(self, root: Path) -> None:
        self.root, self.active = root, False
        # what a link that is removed says
        self.says: dict[Path, Path] = {}
        # two at once would each take what the other's script writes for that of their own
        self.lock = os.open(root, os.O_RDONLY)
        with suppress(OSError):
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.kept = Path(tempfile.mkdtemp(prefix=".evaluating-", dir=root))
        self.before.clear()

    def __enter__(self) -> None:
        self.active = True
        sys.addaudithook(self.audit)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        told = ("open", "os.remove", "os.rename", "os.mkdir", "os.truncate", "shutil.rmtree")
        if not self.active or event not in told:
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        self.active = False  # what is done here is not the script's doing
        try:
            for path in args[: 2 if event == "os.rename" else 1]:
                if isinstance(path, (str, bytes, os.PathLike)):
                    path = Path(os.fsdecode(path)).absolute()
                    if event != "os.mkdir" or not path.exists():
                        self.note(path, gone=event in ("os.remove", "shutil.rmtree"))
        finally:
            self.active = True

    def note(self, path: Path, *, gone: bool) -> None:
        """Keeps a file as it is: by a link where its name alone goes, else what is written would reach the link too."""
        if path in self.before or not path.is_relative_to(self.root) or path.is_relative_to(self.kept):
            return
        if path.is_dir():
            for file in path.rglob("*"):
                if file.is_file():
                    self.note(file, gone=gone)
            return
        copy = self.kept / f"{len(self.before)}"
        self.before[path] = copy if path.is_file() else None
        try:
            if path.is_symlink() and gone:
                self.says[path] = path.readlink()
                copy.symlink_to(path.resolve())
            elif path.is_file():
                self.keep(path, copy, gone)
        except OSError:
            self.before.pop(path)

    @staticmethod
    def keep(path: Path, copy: Path, gone: bool) -> None:
        if gone:
            # not every file system has links
            with suppress(OSError):
                os.link(path, copy)
                return
        shutil.copyfile(path, copy)
        # nor modes
        with suppress(OSError):
            shutil.copystat(path, copy)

    def __exit__(self, *_: object) -> None:
        self.active = False
        for path, copy in sorted(self.before.items(), reverse=True):
            if copy is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                copy.replace(path)
                if path in self.says:
                    path.unlink()
                    path.symlink_to(self.says[path])
            elif path.is_dir():
                with suppress(OSError):
                    path.rmdir()
            else:
                path.unlink(missing_ok=True)
        self.before.clear()
        shutil.rmtree(self.kept, ignore_errors=True)
        os.close(self.lock)
