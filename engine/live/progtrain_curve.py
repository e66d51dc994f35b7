"""The curve of a training: a CSV file as Lightning's CSVLogger writes it, whatever loggers the script has."""

import csv
import os
import time

_SECONDS_BETWEEN_WRITES = 0.5


class Curve:
    """Rows of step, epoch and metrics, added to the file at `path` a few times a second; its columns are sorted."""

    def __init__(self, path):
        self._path = path
        self._columns, self._rows = [], []
        self._written = 0.0

    def add(self, metrics, step):
        row = dict(_numbers(metrics))
        if row:
            self._rows.append({**row, "step": step})
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self.save()

    def save(self):
        self._written = time.monotonic()
        rows, self._rows = self._rows, []
        if not rows:
            return
        columns = sorted(set(self._columns).union(*rows))
        if columns == self._columns:
            with open(self._path, "a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, columns).writerows(rows)
        else:
            self._write_anew(columns, rows)

    def _write_anew(self, columns, rows):
        """A metric has come that had no column."""
        old = []
        if self._columns:
            with open(self._path, newline="", encoding="utf-8") as file:
                old = list(csv.DictReader(file))
        temporary = f"{self._path}.{os.getpid()}.tmp"
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(old + rows)
        os.replace(temporary, self._path)
        self._columns = columns


def _numbers(metrics, prefix=""):
    """Name and number of each metric; those that are not finite stay."""
    for name, value in metrics.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)):
            yield f"{prefix}{name}", value
        else:
            try:
                yield f"{prefix}{name}", float(value)
            except (TypeError, ValueError, RuntimeError):
                continue
