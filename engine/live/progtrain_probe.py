"""The probe: the script runs to the point where its training would begin, and ends there. Nothing is trained, and
nothing stays behind but the JSON file that says what was found.
"""

import atexit
import builtins
import functools
import json
import os
import signal
import sys
import threading
import time
import traceback

from progtrain_hooks import faults, quietly, when_imported
from progtrain_json import plain, write_json
from progtrain_programs import end_those_at_work
from progtrain_watch import Watch

#: loggers that would begin a run on a server
_QUIET = {"WANDB_MODE": "disabled", "NEPTUNE_MODE": "debug", "CLEARML_OFFLINE_MODE": "1"}

#: in the environment of interpreters that the script starts
CHILD = "PROGTRAIN_PROBE_CHILD"
_SECONDS_TO_END = 2.0
#: where a script would train
_TRAINS = ("fit", "train", "step", "measured")

#: what is found, key by key
found = {"reached": None, "fits": 0, "decided_at_run_time": [], "skipped": [], "arguments": []}
_state = {"path": None, "watch": None, "process": None, "done": False, "exit_code": None, "began": 0.0}


def install(path, measure=None):
    """`measure`: how a few steps are to be trained and timed, as JSON; without it, none."""
    path = os.path.abspath(path)
    root = os.path.realpath(os.getcwd())
    _state.update(path=path, process=os.getpid(), began=time.monotonic())
    os.environ.update(_QUIET)
    # a compiled module would stay behind
    sys.dont_write_bytecode = True
    found["argv"] = None
    found["root"] = root
    _state["watch"] = watch = Watch(root, f"{path}.kept")
    watch.start()
    told = {"path": path, "root": root, "process": os.getpid(), "measure": measure}
    os.environ.update({CHILD: json.dumps(told), "PYTHONDONTWRITEBYTECODE": "1"})
    atexit.register(_ended)
    _wrap_ends()
    _stop_training(measure)


def install_in_child(path, root, process, measure):
    """In an interpreter that the script has started: a worker, or a process of a training in several of them.

    It ends where it would train, and what it writes in the folder is taken back by the script's own process.
    """
    _state.update(path=path, process=process, began=time.monotonic())
    found["root"] = root
    _state["watch"] = watch = Watch(root, f"{path}.kept", inherited=True)
    watch.start()
    _stop_training(measure)


def _stop_training(measure):
    when_imported("argparse", _wrap_argparse)
    when_imported("torch.serialization", _wrap_save)
    if measure:
        import progtrain_measure

        progtrain_measure.install(**json.loads(measure))
        return
    for package in ("lightning.pytorch", "pytorch_lightning"):
        when_imported(f"{package}.trainer.trainer", _lightning("wrap_trainer"))
        when_imported(f"{package}.tuner.tuning", _lightning("wrap_tuner"))
    when_imported("torch.optim.optimizer", _wrap_optimizer)
    when_imported("torch._tensor", _wrap_backward)
    when_imported("transformers.trainer", _wrap_transformers)


def _lightning(name):
    def wrap(module):
        import progtrain_probe_lightning

        getattr(progtrain_probe_lightning, name)(module)

    return wrap


def _wrap_transformers(module):
    import progtrain_probe_transformers

    progtrain_probe_transformers.wrap_trainer(module)


def _wrap_optimizer(module):
    """A loop of the script's own begins to train where its first optimizer steps."""
    register = getattr(module, "register_optimizer_step_pre_hook", None)
    if register is not None:
        import progtrain_probe_loop

        register(progtrain_probe_loop.stop)
        when_imported("torch.utils.data.dataloader", progtrain_probe_loop.wrap_loader)


def _wrap_backward(module):
    import progtrain_probe_loop

    progtrain_probe_loop.wrap_backward(module)


def _wrap_save(module):
    """torch.save opens its file unseen."""
    save = module.save

    @functools.wraps(save)
    def seen(obj, f, *args, **kwargs):
        if isinstance(f, (str, os.PathLike)):
            _see_save(f)
        return save(obj, f, *args, **kwargs)

    module.save = seen
    torch = sys.modules.get("torch")
    if getattr(torch, "save", None) is save:
        torch.save = seen


@quietly
def _see_save(path):
    _state["watch"].will_write(path, truncates=True)


# ends


def finish(reached, exit_code=0):
    """Writes what was found, takes back what was written, and ends the process.

    A child of the script ends where it would train, and the script's own process then takes back what was written.
    Else nothing is done in a child.
    """
    child = os.getpid() != _state["process"]
    if _state["done"] or (child and reached not in _TRAINS):
        return
    _state["done"] = True
    try:
        _tell_of_child(reached) if child else _tell(reached)
    except Exception:  # the process ends all the same
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # closed by the script
            continue
    os._exit(exit_code)


def _tell(reached):
    _describe(reached)
    _end_children()
    quietly(end_those_at_work)()
    undone = quietly(_state["watch"].undo)() or {}
    found["files"].update(undone)
    told = None if reached in _TRAINS else _told_by_child()
    if told is None:
        _write()
    else:
        write_json(_state["path"], {**told, "files": {**(told.get("files") or {}), **undone}})


@quietly
def _told_by_child():
    """What a child has told of its training; None where none did."""
    if not os.path.exists(_state["path"]):
        return None
    with open(_state["path"], encoding="utf-8") as file:
        return json.load(file)


def _tell_of_child(reached):
    _describe(reached)
    _state["watch"].close()
    _write()


def _write():
    # its packed ids are longer than a text of a script's may be
    write_json(_state["path"], {**plain(found), "split": found.get("split")})


def _describe(reached):
    found["reached"] = reached
    found["argv"] = plain(sys.argv)
    found["modules"] = _own_modules() or {}
    found["files"] = quietly(_state["watch"].report)() or {}
    found["seconds"] = round(time.monotonic() - _state["began"], 3)
    found["faults"] = faults


@quietly
def _end_children():
    """Workers of loaders and pools: they would wait for a parent that is gone. They write no more from here on."""
    processes = sys.modules.get("multiprocessing")
    children = processes.active_children() if processes else []
    for child in children:
        child.terminate()
    for child in children:
        child.join(_SECONDS_TO_END)


def _ended():
    # where the script, or a package of it, has put its own hook in place of ours
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    if error is not None:
        note_exception(error)
        finish("exception", 1)
    finish("ended", _state["exit_code"] or 0)


def _wrap_ends():
    leave, hook = sys.exit, sys.excepthook

    def leaving(status=None):
        code = status if isinstance(status, int) else 0 if status is None else 1
        _state["exit_code"] = found["exit_code"] = code
        if status is not None and not isinstance(status, int):
            found["exit_message"] = str(status)[:2000]
        leave(status)

    def failing(kind, error, trace):
        hook(kind, error, trace)
        note_exception(error)
        finish("exception", 1)

    def asking(prompt=""):
        found["asked"] = str(prompt)
        error = EOFError(f"the script asks for input: {prompt}")
        note_exception(error, traceback.extract_stack())
        finish("exception", 1)
        raise error  # in a child that it has forked

    sys.exit, sys.excepthook, builtins.input = leaving, failing, asking
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, lambda *signal_and_frame: finish("killed", 143))
        # a child, such as a worker of a pool, ends as it would without us: its parent waits for that
        os.register_at_fork(after_in_child=quietly(lambda: signal.signal(signal.SIGTERM, before)))


@quietly
def note_exception(error, frames=None):
    """Type, message and the deepest line in the user's own files."""
    frames = frames or traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(os.path.abspath(frame.filename))]
    found["exception"] = {
        "type": type(error).__name__,
        "message": str(error)[:2000],
        "file": _state["watch"].shown(os.path.abspath(own[-1].filename)) if own else None,
        "line": own[-1].lineno if own else None,
    }
    if isinstance(error, ModuleNotFoundError):
        found["exception"]["module"] = error.name
    if isinstance(error, SyntaxError):
        found["exception"].update(file=_state["watch"].shown(os.path.abspath(error.filename)), line=error.lineno)


def _is_own(path):
    """Whether a file of code is the user's."""
    path = os.path.realpath(path)
    foreign = "/site-packages/" in path or "/dist-packages/" in path
    here = os.path.join(os.path.dirname(os.path.realpath(__file__)), "")
    script = os.path.dirname(os.path.realpath(sys.argv[0])) if sys.argv and sys.argv[0] else found["root"]
    below = path.startswith((os.path.join(found["root"], ""), os.path.join(script, "")))
    return below and not foreign and not path.startswith((here, os.path.join(sys.prefix, "")))


@quietly
def _own_modules():
    own = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and "_main__" not in name and os.path.isfile(path) and _is_own(path):
            own[name] = _state["watch"].shown(os.path.realpath(path))
    return own


# arguments


def _wrap_argparse(module):
    parser = module.ArgumentParser
    parse, fail = parser.parse_known_args, parser.error

    @functools.wraps(parse)
    def noting(self, *args, **kwargs):
        parsed = parse(self, *args, **kwargs)
        _note_arguments(self, parsed[0])
        return parsed

    @functools.wraps(fail)
    def failing(self, message):
        found["argument_error"] = str(message)
        return fail(self, message)

    parser.parse_known_args, parser.error = noting, failing


@quietly
def _note_arguments(parser, values):
    found["arguments"].append(
        [
            {
                "dest": action.dest,
                "options": plain(action.option_strings),
                "value": plain(getattr(values, action.dest, None)),
                "default": plain(action.default),
                "choices": plain(list(action.choices)) if action.choices else None,
                "required": plain(action.required),
            }
            for action in parser._actions
            if action.dest not in ("help", "==SUPPRESS==")
        ]
    )
