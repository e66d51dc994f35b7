"""What is added to each Trainer of transformers: how far it is, a stop on request, the record, the curve, the weights.

Imported after `transformers.trainer` alone.
"""

import functools
import json
import os
import platform
import sys
import time

from progtrain_curve import Curve
from progtrain_facts import loader_facts
from progtrain_hooks import faults, quietly
from progtrain_json import write_json
from progtrain_record import next_fit
from progtrain_split import keep as keep_split
from progtrain_transformers_facts import checkpoint_of, setup_facts, training_facts
from progtrain_used import see_model, see_trainer
from progtrain_weights import save_weights

_SECONDS_BETWEEN_WRITES = 0.3
#: several processes look for the stop file together
_STEPS_BETWEEN_LOOKS = 10


def follow(module):
    trainer = module.Trainer
    make, train = trainer.__init__, trainer.train

    @functools.wraps(make)
    def __init__(self, *args, **kwargs):
        make(self, *args, **kwargs)
        _add_callback(self)

    @functools.wraps(train)
    def watched_train(self, *args, **kwargs):
        try:
            return train(self, *args, **kwargs)
        except BaseException as error:
            _tell_failure(self, error)
            raise

    trainer.__init__, trainer.train = __init__, watched_train


@quietly
def _add_callback(trainer):
    trainer.add_callback(ProgtrainTransformers(trainer))


@quietly
def _tell_failure(trainer, error):
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, ProgtrainTransformers):
            callback.failed(error)


class ProgtrainTransformers(sys.modules["transformers.trainer_callback"].TrainerCallback):
    """Paths are taken from the environment; none means that nothing of the kind is written."""

    def __init__(self, trainer):
        self._trainer = trainer
        names = ("LIVE", "RECORD", "CURVE", "STOP")
        self._paths = {name: os.environ.get(f"PROGTRAIN_{name}_FILE") for name in names}
        self._weights = os.environ.get("PROGTRAIN_WEIGHTS_DIR")
        self._curve = self._content = self._file = None
        self._metrics = {}
        self._written = self._begun = time.monotonic()
        self._step_at_begin, self._stopped = 0, False
        self._best = self._best_epoch = None

    @quietly
    def on_train_begin(self, args, state, control, train_dataloader=None, **kwargs):
        if not state.is_world_process_zero:
            return
        self._begun, self._step_at_begin = time.monotonic(), state.global_step
        paths = (self._paths["RECORD"], self._paths["CURVE"])
        fit = next_fit(paths if self._content is None else ())
        if self._paths["CURVE"] and self._curve is None:
            self._curve = Curve(self._paths["CURVE"])
        if self._paths["LIVE"]:
            self._file = open(self._paths["LIVE"], "a", buffering=1, encoding="utf-8")  # noqa: SIM115
        self._append({"setup": setup_facts(self._trainer)})
        self._write_progress(args, state)
        self._content = {
            "fit": fit,
            "started": round(time.time(), 3),
            "python": platform.python_version(),
            "torch": sys.modules["torch"].__version__,
            "ended": None,
            **training_facts(self._trainer, {"train": train_dataloader, "val": None}),
        }
        see_model(self._trainer.model, "begin")
        self._write_record(state)

    @quietly
    def on_step_end(self, args, state, control, **kwargs):
        due = time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES
        if due and self._file is not None:
            self._write_progress(args, state)
        if args.world_size == 1:
            stop = due and self._stop_asked()
        else:
            stop = state.global_step % _STEPS_BETWEEN_LOOKS == 0 and self._all_agree_to_stop()
        if due:
            self._written = time.monotonic()
        if stop:
            control.should_training_stop = self._stopped = True
            # another start is to go on from there
            control.should_save = control.should_save or bool(os.environ.get("PROGTRAIN_GO_ON_FILE"))

    def _stop_asked(self):
        return bool(self._paths["STOP"]) and os.path.exists(self._paths["STOP"])

    def _all_agree_to_stop(self):
        answer = [self._stop_asked()]
        sys.modules["torch"].distributed.broadcast_object_list(answer, src=0)
        return answer[0]

    @quietly
    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.is_world_process_zero and logs:
            self._metrics.update(logs)
            if self._curve is not None:
                self._curve.add(logs, state.global_step)

    @quietly
    def on_evaluate(self, args, state, control, eval_dataloader=None, **kwargs):
        if self._content is not None:
            self._note_validation(eval_dataloader)
            self._save_curve()
            self._write_progress(args, state)
            self._write_record(state)

    @quietly
    def _note_validation(self, loader):
        """The Trainer makes these loaders when it first needs them, one for each set."""
        known, facts = self._content["loaders"]["val"], loader_facts(loader)
        if loader is not None and facts not in known:
            known.append(facts)
            keep_split(loader)

    @quietly
    def on_save(self, args, state, control, **kwargs):
        if self._content is not None:
            self._write_record(state)

    @quietly
    def on_train_end(self, args, state, control, **kwargs):
        if self._content is None:
            return
        if self._weights:
            self._content["weights"] = save_weights(self._trainer, self._weights)
        by = "stop request" if self._stopped else _reason_of_end(args, state)
        self._end(state, {"by": by})
        self._write_progress(args, state)
        if self._file is not None:
            self._file.close()
            self._file = None

    def failed(self, error):
        if self._content is not None and self._content["ended"] is None:
            how = {"by": "exception", "type": type(error).__name__, "message": str(error)[:2000]}
            self._end(self._trainer.state, how)

    def _end(self, state, how):
        self._save_curve()
        see_model(self._trainer.model, "end")
        args = self._trainer.args
        see_trainer(max_epochs=args.num_train_epochs, accumulate_grad_batches=args.gradient_accumulation_steps)
        self._content["ended"] = {**how, "epochs": state.epoch, "steps": state.global_step}
        self._write_record(state, sync=True)

    def _save_curve(self):
        if self._curve is not None:
            self._curve.save()

    @quietly
    def _write_record(self, state, sync=False):
        best = state.best_model_checkpoint
        if best != self._best:
            self._best, self._best_epoch = best, state.epoch
        self._content["seconds"] = round(time.time() - self._content["started"], 3)
        self._content["checkpoints"] = [{**checkpoint_of(self._trainer), "best_epoch": self._best_epoch}]
        self._content["faults"] = faults
        if self._paths["RECORD"]:
            write_json(self._paths["RECORD"], self._content, sync)

    def _write_progress(self, args, state):
        seconds = time.monotonic() - self._begun
        done = state.global_step - self._step_at_begin
        rate = done / seconds if seconds > 0 else None
        batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        left = seconds / done * (state.max_steps - state.global_step) if done and state.max_steps else None
        epochs = state.num_train_epochs or None
        epoch = int(state.epoch or 0) + 1
        optimizer = self._trainer.optimizer
        self._append(
            {
                "t": round(time.time(), 3),
                "seconds": round(seconds, 3),
                "epoch": min(epoch, epochs) if epochs else epoch,
                "epochs": epochs,
                "step": state.global_step,
                "steps": state.max_steps or None,
                "steps_per_second": rate,
                "samples_per_second": rate * batch if rate else None,
                "seconds_left": left,
                "metrics": {name: _finite(value) for name, value in self._metrics.items() if _is_number(value)},
                "learning_rate": [group["lr"] for group in optimizer.param_groups][:8] if optimizer else [],
            }
        )

    def _append(self, line):
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")


def _is_number(value):
    return isinstance(value, (int, float))


def _finite(number):
    return number if number - number == 0 else None


def _reason_of_end(args, state):
    if state.global_step >= state.max_steps:
        return "max_steps" if args.max_steps > 0 else "max_epochs"
    return "early stopping"
