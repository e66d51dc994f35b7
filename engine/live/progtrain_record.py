"""The record of a Lightning training: what it was set up with, where its results are, how it ended; and its curve."""

import os
import sys
import time

from progtrain_curve import Curve
from progtrain_facts import (
    checkpoint_facts,
    checkpoints_of,
    lightning_facts,
    loaders_facts,
    stopping_facts,
    stoppings_of,
)
from progtrain_hooks import faults, quietly
from progtrain_json import plain, write_json
from progtrain_split import keep as keep_split
from progtrain_used import see_model, see_trainer

_SECONDS_BETWEEN_WRITES = 0.5
#: fits of this process, whatever Trainer
_fits = 0


def next_fit(paths):
    """The number of a fit that begins. What another Trainer left at `paths` stays: record.json as record_fit1.json."""
    global _fits
    for path in paths:
        if _fits and path and os.path.exists(path):
            stem, ending = os.path.splitext(path)
            os.replace(path, f"{stem}_fit{_fits}{ending}")
    _fits += 1
    return _fits


class Record:
    """Kept in the process of rank 0 alone. Either path may be None."""

    def __init__(self, path, curve_path):
        self._path, self._curve_path = path, curve_path
        self._curve = None
        self._content = None
        self._written = 0.0
        self._epoch = 0
        self._best, self._best_epochs = {}, {}
        self._split_kept = False

    @quietly
    def begin(self, trainer, module):
        fit = next_fit((self._path, self._curve_path) if self._content is None else ())
        if self._content is None:
            self._curve = Curve(self._curve_path) if self._curve_path else None
            self._follow(trainer)
        self._epoch = trainer.current_epoch
        self._content = {
            "fit": fit,
            "started": round(time.time(), 3),
            "python": sys.version.split()[0],
            "torch": sys.modules["torch"].__version__,
            "ended": None,
            **lightning_facts(trainer, module),
        }
        see_model(module, "begin")
        self._write(trainer)

    @quietly
    def _follow(self, trainer):
        """Notes each row that goes to the first logger, or would go to one if there were any."""
        if self._curve is None:
            return
        to = trainer.loggers[0] if trainer.loggers else trainer._logger_connector
        log_metrics = to.log_metrics

        def log(*args, **kwargs):
            self._note(trainer, *args, **kwargs)
            return log_metrics(*args, **kwargs)

        to.log_metrics = log

    @quietly
    def _note(self, trainer, metrics, step=None, *rest, **more):
        if not metrics:
            return
        row = dict(metrics)
        if not trainer.loggers and step is None:
            # what Lightning does before it gives them to a logger
            step = row.pop("step", None)
            if step is None:
                row.setdefault("epoch", trainer.current_epoch)
        self._curve.add(row, _steps(trainer) if step is None else int(step))

    @quietly
    def epoch_begins(self, trainer):
        self._see_best(trainer)
        self._epoch = trainer.current_epoch

    @quietly
    def validated(self, trainer):
        if self._content is None:
            return
        self._see_best(trainer)
        self._add_unlogged(trainer)
        if self._curve is not None:
            self._curve.save()
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self._write(trainer)

    def _add_unlogged(self, trainer):
        """Validation metrics that the module keeps from its loggers."""
        results = trainer._results
        if self._curve is None or not results:
            return
        names = {item.meta.name for item in results.values() if not item.meta.logger}
        metrics = {name: trainer.callback_metrics[name] for name in names if name in trainer.callback_metrics}
        if metrics:
            self._curve.add({**metrics, "epoch": trainer.current_epoch}, _steps(trainer))

    def _see_best(self, trainer):
        for number, callback in enumerate(checkpoints_of(trainer.callbacks)):
            # the file of a better one may have the same name
            best = callback.best_model_path, plain(callback.best_model_score)
            if best[0] and best != self._best.get(number):
                self._best[number], self._best_epochs[number] = best, self._epoch

    @quietly
    def ended(self, trainer, stop_asked):
        self._end(trainer, {"by": _reason_of_end(trainer, stop_asked)})

    @quietly
    def failed(self, trainer, error):
        if self._content is not None and self._content["ended"] is None:
            self._end(trainer, {"by": "exception", "type": type(error).__name__, "message": str(error)[:2000]})

    def _end(self, trainer, how):
        if self._content is not None:
            self._see_best(trainer)
            see_model(trainer.lightning_module, "end")
            see_trainer(max_epochs=trainer.max_epochs, accumulate_grad_batches=trainer.accumulate_grad_batches)
            self._content["ended"] = {**how, "epochs": trainer.current_epoch, "steps": trainer.global_step}
            self._write(trainer, sync=True)

    @quietly
    def save_curve(self):
        if self._curve is not None:
            self._curve.save()

    def _write(self, trainer, sync=False):
        self._written = time.monotonic()
        content = self._content
        if not content["loaders"]["val"]:
            content["loaders"] = loaders_facts(trainer)
        if content["loaders"]["val"] and not self._split_kept:
            self._split_kept = True
            keep_split(trainer.val_dataloaders)
        content["seconds"] = round(time.time() - content["started"], 3)
        content["checkpoints"] = [
            {**(checkpoint_facts(callback) or {}), "best_epoch": self._best_epochs.get(number)}
            for number, callback in enumerate(checkpoints_of(trainer.callbacks))
        ]
        content["early_stopping"] = [stopping_facts(callback) for callback in stoppings_of(trainer.callbacks)]
        content["faults"] = faults
        if self._path:
            write_json(self._path, content, sync)


def _steps(trainer):
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def _reason_of_end(trainer, stop_asked):
    """Which limit ended a training that has ended without an error."""
    loop = trainer.fit_loop
    if stop_asked:
        return "stop request"
    if loop.max_steps not in (None, -1) and trainer.global_step >= loop.max_steps:
        return "max_steps"
    if loop.max_epochs not in (None, -1) and trainer.current_epoch >= loop.max_epochs:
        return "max_epochs"
    if any(callback.stopped_epoch for callback in stoppings_of(trainer.callbacks)):
        return "early stopping"
    return "the script" if trainer.should_stop else "end of data"
