"""What can go wrong, by how a caller reacts.

    ProgtrainError
    ├── InputError      something the user wrote is wrong: rules, script, action, data (exit code 2)
    │   └── NothingToTry    rules, script and history leave no action: the loop ends with its report
    ├── StepFailed      a step did its work and the work failed: training, evaluation (1)
    ├── DecisionNeeded  the loop waits for the user (3)
    ├── Busy            another runner holds this workspace (4)
    └── StorageError    the disk is full, or the workspace cannot be written (5)

Each says where, what and how to fix it. `str(error)` fits on one screen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: characters of a reason: more fits on no screen
_LONGEST = 4000


class ProgtrainError(Exception):
    """An error that a user can act on.

    `file` is where to look, `place` a line or a key in it, `fix` what to do about it.
    """

    exit_code = 1

    def __init__(
        self,
        reason: str,
        *,
        file: Path | str | None = None,
        place: str | int | None = None,
        fix: str | None = None,
    ) -> None:
        # what stands in the file may be of any length
        self.reason = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]} …"
        super().__init__(self.reason)
        self.file = str(file) if file is not None else None
        self.place = f"line {place}" if isinstance(place, int) else place
        self.fix = fix

    @property
    def located(self) -> str:
        """Without its fix: on one line."""
        where = ", ".join(part for part in (self.file, self.place) if part)
        return f"{where}: {self.reason}" if where else self.reason

    def __str__(self) -> str:
        return f"{self.located}\n  fix: {self.fix}" if self.fix else self.located


class InputError(ProgtrainError):
    exit_code = 2


@contextmanager
def in_file(file: Path | str) -> Iterator[None]:
    """What is wrong in here and names no file is wrong in this one."""
    try:
        yield
    except InputError as error:
        error.file = error.file or str(file)
        raise


class NothingToTry(InputError):
    pass


class StepFailed(ProgtrainError):
    exit_code = 1


class DecisionNeeded(ProgtrainError):
    exit_code = 3


class Busy(ProgtrainError):
    exit_code = 4


class StorageError(ProgtrainError):
    exit_code = 5
