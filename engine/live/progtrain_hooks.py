"""Tells when the script has imported a module, so that nothing is imported that it does not import itself."""

import functools
import json
import os
import sys

#: what went wrong in our own code; it stands in what we write, and never ends the script
faults = []
_MOST_FAULTS = 20


def quietly(function):
    """What goes wrong in `function` is noted, and it gives None."""

    @functools.wraps(function)
    def attempt(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Exception as error:
            note_fault(function.__qualname__, error)
            return None

    return attempt


def note_fault(where, error):
    if len(faults) < _MOST_FAULTS:
        faults.append(f"{where}: {type(error).__name__}: {error}"[:300])


class AfterImport:
    """A finder that lets the others find, and calls each of `actions[name]` with the module after the import."""

    def __init__(self):
        self.actions = {}
        self._busy = set()

    def find_spec(self, name, path=None, target=None):
        if name not in self.actions or name in self._busy:
            return None
        self._busy.add(name)
        try:
            for finder in sys.meta_path:
                find = None if finder is self else getattr(finder, "find_spec", None)
                spec = find(name, path, target) if find else None
                if spec is not None:
                    if hasattr(spec.loader, "exec_module"):
                        spec.loader = TellingLoader(spec.loader, self.actions[name])
                    return spec
            return None
        finally:
            self._busy.discard(name)


class TellingLoader:
    """The loader that was found, with more to do when the module has run."""

    def __init__(self, loader, actions):
        self._loader, self._actions = loader, actions

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for action in self._actions:
            action(module)

    def __getattr__(self, name):
        return getattr(self._loader, name)


_finder = AfterImport()


def when_imported(name, action):
    """Calls `action(module)` once the module `name` is imported: at once where it is already."""
    action = quietly(action)
    if name in sys.modules:
        action(sys.modules[name])
        return
    _finder.actions.setdefault(name, []).append(action)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def install():
    """Listens for what the environment asks for: a probe, or the record of a training."""
    # an interpreter that the script starts tells of no probe of its own
    probe, child = os.environ.pop("PROGTRAIN_PROBE_FILE", None), os.environ.get("PROGTRAIN_PROBE_CHILD")
    if child and not probe:
        import progtrain_probe

        progtrain_probe.install_in_child(**json.loads(child))
        _see_splits(None)
    elif probe:
        for name in ("LIVE", "RECORD", "CURVE"):
            os.environ.pop(f"PROGTRAIN_{name}_FILE", None)
        import progtrain_probe

        progtrain_probe.install(probe, os.environ.pop("PROGTRAIN_MEASURE", None))
        _see_splits(None)
    else:
        _see_splits(os.environ.get("PROGTRAIN_RECORD_FILE"))
        _see_used(os.environ.get("PROGTRAIN_RECORD_FILE"))
        when_imported("transformers.trainer", _follow_transformers)
        saves = os.environ.pop("PROGTRAIN_SAVES_FILE", None)
        if saves:
            import progtrain_saves

            progtrain_saves.install(saves)
        _go_on()


@quietly
def _see_splits(record_path):
    import progtrain_split

    progtrain_split.install(record_path)


@quietly
def _see_used(record_path):
    if record_path:
        import progtrain_used

        progtrain_used.install(record_path)


@quietly
def _go_on():
    import progtrain_resume

    progtrain_resume.install()


def _follow_transformers(module):
    import progtrain_transformers

    progtrain_transformers.follow(module)
