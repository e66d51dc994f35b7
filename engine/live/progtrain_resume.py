"""Lets the first `fit()` or `train()` of a script go on from the checkpoint that an attempt before it left.

Which one the environment says; where a cluster starts a job again by itself, it is what the record of the training
that was cut short names.
"""

import functools
import inspect
import json
import os
import shutil
import sys
import zipfile

from progtrain_hooks import quietly, when_imported

_TRAINERS = {
    "lightning.pytorch.trainer.trainer": ("fit", "ckpt_path"),
    "pytorch_lightning.trainer.trainer": ("fit", "ckpt_path"),
    "transformers.trainer": ("train", "resume_from_checkpoint"),
}
_FROM = "PROGTRAIN_RESUME_FROM"
_used = []


@quietly
def install():
    # processes of the same training inherit it: all of them go on from there
    source = os.environ.get(_FROM) or _of_restart()
    if not source or not os.path.exists(source):
        return
    os.environ[_FROM] = source
    for name, (method, argument) in _TRAINERS.items():
        when_imported(name, functools.partial(_follow, method, argument))


def _follow(method, argument, module):
    trainer = module.Trainer
    train = getattr(trainer, method)

    @functools.wraps(train)
    def going_on(self, *args, **kwargs):
        if not _used:
            _used.append(self)
            args, kwargs = _with_checkpoint(train, argument, args, kwargs) or (args, kwargs)
        return train(self, *args, **kwargs)

    setattr(trainer, method, going_on)


@quietly
def _with_checkpoint(train, argument, args, kwargs):
    signature = inspect.signature(train)
    bound = signature.bind_partial(None, *args, **kwargs)
    bound.arguments[argument] = os.environ[_FROM]
    if "weights_only" in signature.parameters and bound.arguments.get("weights_only") is None:
        # this training wrote it: settings of any kind may stand in it
        bound.arguments["weights_only"] = False
    sys.stdout.write(f"going on from {os.environ[_FROM]}\n")
    sys.stdout.flush()
    return bound.args[1:], bound.kwargs


def _of_restart():
    """Copied aside, since many a script clears its folder first. None where the job was not started again."""
    record = os.environ.get("PROGTRAIN_RECORD_FILE")
    if not record or int(os.environ.get("SLURM_RESTART_COUNT") or 0) < 1 or not os.path.exists(record):
        return None
    with open(record, encoding="utf-8") as file:
        told = json.load(file)
    if told.get("fit") != 1:
        return None
    found = [path for callback in told.get("checkpoints") or [] for path in _saved_by(callback)]
    asked_for = os.environ.get("PROGTRAIN_GO_ON_FILE")
    if asked_for and zipfile.is_zipfile(asked_for):
        found = [asked_for]
    if not found:
        return None
    newest = max(found, key=os.path.getmtime)
    kept = os.path.join(os.path.dirname(record), "going_on_from" + os.path.splitext(newest)[1])
    if os.path.isdir(newest):
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(newest, kept)
    else:
        shutil.copyfile(newest, kept)
    _keep_results(told, os.path.dirname(record))
    if newest == asked_for:
        os.remove(newest)  # the next start may have to go on from something newer
    return kept


@quietly
def _keep_results(told, folder):
    """The curve so far, and the best checkpoint: a better one may never come."""
    curve = os.environ.get("PROGTRAIN_CURVE_FILE")
    if curve and os.path.exists(curve):
        count = sum(name.startswith("curve_before") for name in os.listdir(folder))
        shutil.copyfile(curve, os.path.join(folder, f"curve_before{count:03d}.csv"))
    best = [callback.get("best_model_path") for callback in told["checkpoints"]]
    best = [path for path in best if path and os.path.isfile(path) and zipfile.is_zipfile(path)]
    if best:
        shutil.copyfile(best[-1], os.path.join(folder, "best_before.ckpt"))


def _saved_by(callback):
    files = (callback.get(key) for key in ("last_model_path", "best_model_path"))
    yield from (path for path in files if path and os.path.isfile(path) and zipfile.is_zipfile(path))
    folder = callback.get("dirpath")
    for name in os.listdir(folder) if folder and os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if name.startswith("checkpoint-") and os.path.isfile(os.path.join(path, "trainer_state.json")):
            yield path
