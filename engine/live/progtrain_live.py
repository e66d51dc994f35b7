"""What a training script gets on its PYTHONPATH: a Lightning callback that tells how far it is.

Lightning finds it by its entry point and calls `callbacks()`; the script needs no change and nothing is installed. It
runs in the user's interpreter: standard library and Lightning only, Python 3.9 and later, and whatever goes wrong
here must never disturb the training.
"""

import json
import os
import platform
import sys
import time

# of the two names under which Lightning is installed, the one that the script uses: mixing them does not work
if "lightning.pytorch" in sys.modules or "pytorch_lightning" not in sys.modules:
    from lightning.pytorch.callbacks import Callback
else:
    from pytorch_lightning.callbacks import Callback

_SECONDS_BETWEEN_WRITES = 0.3
#: several processes look together, after at most this many batches
_MOST_BATCHES_BETWEEN_LOOKS = 100


class ProgtrainLive(Callback):
    """Appends a JSON line to `path` a few times a second, ends the training when `stop_path` appears, and keeps the
    record.
    """

    def __init__(self, path, stop_path, record=None):
        self._path, self._stop_path = path, stop_path
        self._record = record
        self._stopped = False
        self._file = None
        # durations by a clock that nobody sets: a stop request must not wait for an hour that comes twice
        self._written = 0.0
        self._begun = time.monotonic()
        self._steps_at_begin = 0
        self._batch_size = None
        # of a training in several processes: batches until all of them look for the stop file, and since when
        self._batches_left = self._batches_between = 1
        self._looked = time.monotonic()

    def setup(self, trainer, pl_module, stage):
        # last of all, so that a checkpoint of the same moment is known; a new list: this one is being walked
        trainer.callbacks = [*(callback for callback in trainer.callbacks if callback is not self), self]

    def on_fit_start(self, trainer, pl_module):
        if trainer.global_rank != 0:
            self._record = None
        elif self._path:
            try:
                self._file = open(self._path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115
            except OSError:
                self._file = None

    def on_train_start(self, trainer, pl_module):
        self._begun = time.monotonic()
        self._steps_at_begin = trainer.global_step
        self._append(lambda: {"setup": _setup(trainer, pl_module)})
        self._write(trainer)
        if self._record:
            self._record.begin(trainer, pl_module)

    def on_train_epoch_start(self, trainer, pl_module):
        if self._record:
            self._record.epoch_begins(trainer)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if self._batch_size is None:
            self._batch_size = _length(batch) or 0
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self._write(trainer)
        if self._looks_and_finds() if trainer.world_size == 1 else self._all_agree_to_stop(trainer):
            self._save(trainer)
            trainer.should_stop = self._stopped = True
            # without this, Lightning goes on to min_epochs and min_steps first
            trainer.fit_loop.min_epochs = 0
            trainer.fit_loop.epoch_loop.min_steps = 0

    def _save(self, trainer):
        """As it is after this batch, where another start is to go on: what is saved at an epoch's end says that the
        epoch is over. All processes come here.
        """
        path = os.environ.get("PROGTRAIN_GO_ON_FILE")
        if not path or self._stopped:
            return
        try:
            trainer.save_checkpoint(path)
        except Exception as error:  # it still ends as asked, with what its own callbacks save
            sys.stderr.write(f"could not save what to go on from: {error}\n")

    def _looks_and_finds(self):
        """Not when it writes: it does so after each validation too, and epochs can be shorter than the time between."""
        now = time.monotonic()
        if now - self._looked < _SECONDS_BETWEEN_WRITES:
            return False
        self._looked = now
        return self._stop_asked()

    def _stop_asked(self):
        return bool(self._stop_path) and os.path.exists(self._stop_path)

    def _all_agree_to_stop(self, trainer):
        """Rank 0 looks and tells the others, on the same batch everywhere: else they would end at different steps and
        wait for each other for ever. It also tells after how many batches to look again, by how fast they go.
        """
        self._batches_left -= 1
        if self._batches_left > 0:
            return False
        now = time.monotonic()
        a_batch = max(now - self._looked, 1e-6) / self._batches_between
        between = min(max(int(_SECONDS_BETWEEN_WRITES / a_batch), 1), _MOST_BATCHES_BETWEEN_LOOKS)
        stop, between = trainer.strategy.broadcast((self._stop_asked(), between), src=0)
        self._looked = now
        self._batches_left = self._batches_between = between
        return stop

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self._write(trainer)
            if self._record:
                self._record.validated(trainer)

    def on_train_end(self, trainer, pl_module):
        self._write(trainer)
        if self._record:
            self._record.ended(trainer, self._stopped)

    def on_exception(self, trainer, pl_module, exception):
        if self._record:
            self._record.failed(trainer, exception)

    def teardown(self, trainer, pl_module, stage):
        if self._record:
            self._record.save_curve()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, trainer):
        self._written = time.monotonic()
        self._append(lambda: self._progress(trainer))

    def _append(self, make):
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(make()) + "\n")
        except Exception:  # a view of the training must never end it
            self._file = None

    def _progress(self, trainer):
        seconds = time.monotonic() - self._begun
        done = trainer.global_step - self._steps_at_begin
        total = trainer.estimated_stepping_batches
        total = int(total) if total != float("inf") else None
        left = seconds / done * (total - trainer.global_step) if total and done else None
        rate = done / seconds if seconds > 0 else None
        batch = self._batch_size
        return {
            "t": round(time.time(), 3),
            "seconds": round(seconds, 3),
            "epoch": _epoch(trainer),
            "epochs": trainer.max_epochs,
            "step": trainer.global_step,
            "steps": total,
            "steps_per_second": rate,
            "samples_per_second": rate * batch * (trainer.accumulate_grad_batches or 1) if rate and batch else None,
            "seconds_left": left,
            "metrics": _numbers(trainer.callback_metrics),
            "learning_rate": [g["lr"] for o in trainer.optimizers for g in o.param_groups][:8],
        }


def _setup(trainer, module):
    """What the engine puts into `spec.json` where the script does not say it."""
    import torch

    checkpoint = trainer.checkpoint_callback
    return {
        "parameters": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "device": str(trainer.strategy.root_device),
        "precision": str(trainer.precision),
        "libraries": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lightning": sys.modules[type(trainer).__module__.split(".")[0]].__version__,
        },
        "checkpoint": {
            "monitor": getattr(checkpoint, "monitor", None),
            "mode": getattr(checkpoint, "mode", None),
        },
    }


def _epoch(trainer):
    """Counted from 1; after the last one Lightning has counted on already."""
    epoch, limit = trainer.current_epoch + 1, trainer.max_epochs
    return min(epoch, limit) if limit and limit > 0 else epoch


def _length(batch):
    item = batch
    while isinstance(item, (list, tuple, dict)) and len(item):
        item = next(iter(item.values())) if isinstance(item, dict) else item[0]
    try:
        return len(item)
    except TypeError:
        return None


def _numbers(metrics):
    found = {}
    for name, value in metrics.items():
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):
            continue
        found[str(name)] = number if number == number and abs(number) != float("inf") else None
    return found


def callbacks():
    """Called by Lightning for each Trainer. Nothing where progtrain did not start the script."""
    live, record, curve = (os.environ.get(f"PROGTRAIN_{name}_FILE") for name in ("LIVE", "RECORD", "CURVE"))
    if not (live or record or curve):
        return []
    return [ProgtrainLive(live, os.environ.get("PROGTRAIN_STOP_FILE"), _record(record, curve))]


def _record(path, curve_path):
    if not (path or curve_path):
        return None
    try:
        from progtrain_record import Record

        return Record(path, curve_path)
    except Exception:  # the training goes on without
        return None
