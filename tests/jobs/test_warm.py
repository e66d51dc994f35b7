"""Scripts that are forked from an interpreter which has run their imports: nothing but the time may differ."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from progtrain.engine.jobs import alive, leftovers
from progtrain.engine.jobs.base import LOST
from progtrain.engine.jobs.local import Local
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.workspace import JobFolder
from tests.jobs.test_guard import ORPHAN

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

IMPORTS = ["import decimal", "import multiprocessing, logging, warnings, threading"]
Run = Callable[..., tuple[JobState, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "the wörkspace"
    folder.mkdir()
    return folder


@pytest.fixture
def local() -> Iterator[Local]:
    local = Local()
    yield local
    local.close()


def _submit(local: Local, folder: Path, text: str, *, imports: list[str], **more: object) -> JobFolder:
    script = folder / "02_train_v001.py"
    script.write_text(textwrap.dedent(text))
    job = JobFolder(folder / ".jobs" / "one")
    request = {"name": "one", "command": [sys.executable, script.name, "--lr", "0.1"], "cwd": str(folder), **more}
    local.submit(job, JobRequest.model_validate({**request, "imports": imports}))
    return job


@pytest.fixture
def run(local: Local, folder: Path) -> Run:
    def run(text: str, imports: list[str] = IMPORTS, **more: object) -> tuple[JobState, str]:
        job = _submit(local, folder, text, imports=imports, **more)
        state = local.wait(job, lambda: None, poll_seconds=0.02)
        return state, job.log.read_bytes().decode("utf-8", "replace")

    return run


def _running(local: Local, job: JobFolder, path: Path) -> JobState:
    """Once the script has written `path`."""
    deadline = time.monotonic() + 60
    while True:
        state = local.look(job)
        if state is not None and state.status == "running" and path.exists() and path.read_text():
            return state
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _gone(*pids: int) -> bool:
    deadline = time.monotonic() + 60
    while any(alive.began(pid) is not None for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _warm_of(guard: int) -> int:
    found = [p.pid for p in psutil.Process(guard).children() if any("progtrain_warm" in a for a in p.cmdline())]
    return min(found)


SAME = {
    "error": """
        def f():
            return 1 / 0
        try:
            f()
        except ZeroDivisionError as error:
            raise ValueError from error
    """,
    "exit text": "import sys; sys.exit('bye')",
    "exit code": "import sys; sys.exit(3)",
    "exit none": "import sys; sys.exit()",
    "exit at once": "import os; print('x', flush=True); os._exit(7)",
    "signal": "import os; os.kill(os.getpid(), 11)",
    "asked to end": "import os; os.kill(os.getpid(), 15)",
    "keyboard": "raise KeyboardInterrupt",
    "not closed": "print('(\n",
    "own hook": """
        import sys
        sys.excepthook = lambda kind, error, trace: print("mine", kind, trace.tb_lineno)
        raise OSError
    """,
    "no message": """
        class Odd(Exception):
            def __str__(self):
                return 1
        raise Odd
    """,
    "later": """
        import atexit, threading, time
        atexit.register(print, "at exit")
        threading.Thread(target=lambda: (time.sleep(0.2), print("late"))).start()
        print("end")
    """,
    "main": """
        import __main__, sys, os, types, pickle, dataclasses
        print(__name__, __file__, __spec__, __package__, __doc__, __annotations__, type(__loader__), __loader__.path)
        print(sorted(globals()), __builtins__ is sys.modules["builtins"], __main__.__dict__ is globals())
        print(sys.argv, sys.path, os.getcwd(), sys.orig_argv, sys.flags, sys.executable, sys.prefix)
        @dataclasses.dataclass
        class Point:
            x: int
        print(pickle.loads(pickle.dumps(Point(3))), Point.__module__)
    """,
    "process": """
        import os, signal, sys, gc, faulthandler, resource, threading, warnings, logging, locale, time
        print({s.name: str(signal.getsignal(s)) for s in signal.valid_signals() if isinstance(s, signal.Signals)})
        print(signal.pthread_sigmask(signal.SIG_BLOCK, []), os.getsid(0) == os.getpid() == os.getpgid(0))
        print(os.umask(0o22), os.nice(0), resource.getrlimit(resource.RLIMIT_NOFILE), os.sched_getaffinity(0))
        print(sorted(os.environ.items()), sys.stdin.read() == "", sys.stdout.isatty(), sys.stdout.encoding)
        print(sys.stdout.line_buffering, sys.stderr.line_buffering, sys.stdout.write_through, sys.stdout.errors)
        print(gc.isenabled(), gc.get_threshold(), faulthandler.is_enabled(), locale.getlocale(), time.tzname)
        print(threading.active_count(), threading.current_thread() is threading.main_thread(), warnings.filters)
        print(logging.root.handlers, logging.root.level, sys.getrecursionlimit(), sys.gettrace())
        print(sorted(os.readlink(f"/proc/self/fd/{n}") for n in range(3)), len(os.listdir("/proc/self/fd")))
        print(sorted(set(sys.modules) - set(sys.stdlib_module_names) - {n for n in sys.modules if "." in n}))
    """,
    "binary": "import sys; sys.stdout.buffer.write(bytes(range(256)))",
    "latin": b"# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))\n".decode("latin-1"),
    "warning": "import warnings\nwarnings.warn('old', DeprecationWarning)\nwarnings.warn('odd')",
    "spawned": """
        import multiprocessing
        def double(x):
            return 2 * x
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                print(pool.map(double, [1, 2, 3]))
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(pool.map(double, [1, 2, 3]))
    """,
    "started again": """
        import os, subprocess, sys
        print(os.environ.get("RANK"), sys.argv, flush=True)
        if "RANK" not in os.environ:
            os.environ["RANK"] = "1"
            subprocess.run([sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]])
    """,
}


#: each guard has an id of its own, in the environment of what it starts
GUARD = r"'PROGTRAIN_JOB', '\w+'"


@pytest.mark.parametrize("name", SAME)
def test_it_behaves_as_in_a_new_interpreter(name: str, run: Run) -> None:
    text = "\n".join([*IMPORTS, textwrap.dedent(SAME[name])])
    cold, said_cold = run(text, imports=[])
    warm, said_warm = run(text)
    assert (cold.started, warm.started) == ("", "warm")
    assert re.sub(GUARD, "", said_warm) == re.sub(GUARD, "", said_cold)
    assert (warm.exit_code, warm.ended_by) == (cold.exit_code, cold.ended_by)


def test_one_interpreter_serves_all_that_begin_alike(run: Run) -> None:
    text = "import os, decimal; print(os.environ['PROGTRAIN_X'], os.environ.get('OTHER'), id(decimal.Decimal))"
    said = [run(text, environment={"PROGTRAIN_X": x})[1].split() for x in "abc"]
    assert [words[0] for words in said] == ["a", "b", "c"]
    assert len({words[2] for words in said}) == 1


def test_another_environment_is_another_interpreter(run: Run) -> None:
    """Packages read it when they are imported."""
    for value in ("1", "2"):
        state, said = run("import os; print(os.environ['OMP_NUM_THREADS'])", environment={"OMP_NUM_THREADS": value})
        assert (state.started, said.strip()) == ("warm", value)


@pytest.mark.parametrize("name", ["PYTHONSAFEPATH", "PYTHONINSPECT", "PYTHONOPTIMIZE"])
def test_what_holds_from_the_start_of_an_interpreter_is_given_to_a_new_one(name: str, run: Run) -> None:
    state, said = run("import sys; print(sys.flags)", environment={name: "1"})
    assert (state.exit_code, state.started) == (0, f"{name} is set")
    assert said == run("import sys; print(sys.flags)", imports=[], environment={name: "1"})[1]


def test_the_folder_of_the_script_may_be_on_the_path_of_modules(run: Run, folder: Path) -> None:
    """It changes with each version, and the interpreter stays."""
    text = "import decimal; print(id(decimal.Decimal))"
    said = set()
    for number in range(2):
        (folder / f"other{number}.py").touch()
        state, line = run(text, environment={"PYTHONPATH": str(folder)})
        said.add(line)
        assert state.started == "warm"
    assert len(said) == 1


def test_random_numbers_without_a_seed_differ(run: Run) -> None:
    pytest.importorskip("numpy")
    text = "import random, numpy, uuid; print(random.random(), numpy.random.rand(), uuid.uuid4())"
    imports = ["import random, uuid", "import numpy"]
    said = [run(text, imports=imports)[1].split() for _ in range(2)]
    assert len({word for words in said for word in words}) == 6


def test_local_modules_are_imported_each_time(run: Run, folder: Path) -> None:
    for number in (1, 22):
        (folder / "model.py").write_text(f"SIZE = {number}")
        assert run("import decimal, model; print(model.SIZE)", imports=["import decimal"])[1].strip() == str(number)


def test_a_local_module_in_place_of_an_imported_one_is_seen(run: Run, folder: Path) -> None:
    assert run("import decimal; print(decimal.Decimal(1))")[1].strip() == "1"
    (folder / "decimal.py").write_text("Decimal = 'mine'.__add__")
    state, said = run("import decimal; print(decimal.Decimal('!'))")
    assert said.strip() == "mine!"
    assert state.started == "decimal.py beside the script would be imported in place of what is there"


# ---- what a script does between its imports

SETUPS = [
    "import os, warnings, logging",
    "os.environ['A'] = '1'",
    "os.environ.setdefault('B', '2')",
    "warnings.filterwarnings('ignore', category=UserWarning)",
    "import pack",
    "warnings.simplefilter('ignore', DeprecationWarning)",
    "logging.basicConfig(level=logging.INFO, format='%(name)s: %(message)s')",
    "os.environ['A'] = '3'",
]
PACK = """
import os, warnings, logging
warnings.warn("not heard")
warnings.filterwarnings("ignore", category=FutureWarning)
X = os.environ["A"], os.environ["B"], list(logging.root.handlers)
os.environ["A"] = "changed"
"""
TOLD = r"""
print(pack.X, warnings.filters, logging.root.handlers, sorted(os.environ.items()), sorted(globals()))
logging.getLogger("x").info("heard")
print("\d")
os.environ['A'] = '3'
raise ValueError
"""


def test_what_is_set_up_between_the_imports_is_as_in_a_new_interpreter(run: Run, package: Path) -> None:
    package.write_text(PACK)
    environment = {"PYTHONPATH": str(package.parent), "B": "9"}
    text = "\n".join(['"""Trains."""', *SETUPS, TOLD])
    cold, said_cold = run(text, imports=[], environment=environment)
    imports = ["\n" * (number + 1) + line for number, line in enumerate(SETUPS)]
    for _ in range(2):
        warm, said_warm = run(text, imports=imports, environment=environment)
        assert (warm.started, warm.exit_code) == ("warm", cold.exit_code)
        assert re.sub(GUARD, "", said_warm) == re.sub(GUARD, "", said_cold)
    assert "('1', '9', [])" in said_cold and "in <module>\n    raise ValueError" in said_cold


def test_another_script_is_not_forked_behind_what_one_sets_up(run: Run) -> None:
    """As the evaluation: it imports first, and the training script sets up later."""
    imports = ["import os", "os.environ['A'] = '1'", "import decimal"]
    state, said = run("import os, decimal\nprint(os.environ.get('A'))", imports=imports)
    assert said.strip() == "None"
    assert state.started.startswith("02_train_v001.py begins otherwise than the script that sets something up")


def test_a_folder_that_the_script_adds_does_not_matter_where_it_holds_other_modules(run: Run, folder: Path) -> None:
    text = "import sys; sys.path.insert(0, '{0}')\nimport decimal, own{0}\nprint(id(decimal.Decimal), sys.path[0])"
    told = []
    for name in ("src", "lib"):
        (folder / name).mkdir()
        (folder / name / f"own{name}.py").touch()
        state, said = run(text.format(name), imports=["import sys", "import decimal"], module_folders=[name])
        assert state.started == "warm"
        told.append(said.split())
    assert told[0][0] == told[1][0] and [words[1] for words in told] == ["src", "lib"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("decimal.py", "decimal.py beside the script would be imported in place of what is there"),
        # asked for by a package that does without
        ("nowhere", "nowhere beside the script would be imported in place of what is there"),
        ("own.egg-info", "own.egg-info in a folder that the script adds to sys.path tells of installed packages"),
    ],
)
def test_a_folder_that_the_script_adds_may_hold_what_is_imported(
    run: Run, folder: Path, package: Path, name: str, why: str
) -> None:
    package.write_text("import decimal\ntry:\n    import nowhere as X\nexcept ImportError:\n    X = None\n")
    (folder / "src").mkdir()
    (folder / "src" / name).touch() if name.endswith(".py") else (folder / "src" / name).mkdir()
    text = "import sys; sys.path.insert(0, 'src')\nimport pack\nprint(pack.decimal, pack.X is None)"
    imports, environment = ["import sys", "import pack"], {"PYTHONPATH": str(package.parent)}
    cold = run(text, imports=[], environment=environment)[1]
    state, said = run(text, imports=imports, module_folders=["src"], environment=environment)
    assert (state.started, said) == (why, cold)
    assert run(text, imports=imports, environment=environment)[0].started == "warm"


def test_imports_that_change_the_path_of_modules_are_not_parted_from_the_scripts_own(run: Run, package: Path) -> None:
    package.write_text("import sys\nsys.path.insert(0, 'vendored')\nX = sys.path")
    text = "import sys; sys.path.insert(0, 'src')\nimport pack\nprint(sys.path[:3])"
    environment = {"PYTHONPATH": str(package.parent)}
    cold = run(text, imports=[], environment=environment)[1]
    state, said = run(text, imports=["import pack"], module_folders=["src"], environment=environment)
    assert (state.started, said) == ("its imports change sys.path, and so does the script", cold)


# ---- packages


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Found as if it were installed."""
    path = tmp_path / "site-packages" / "pack.py"
    path.parent.mkdir()
    return path


def _packed(run: Run, package: Path, text: str = "import pack; print(pack.X)") -> tuple[JobState, str]:
    return run(text, imports=["import pack"], environment={"PYTHONPATH": str(package.parent)})


def test_a_package_that_changed_is_imported_anew(run: Run, package: Path) -> None:
    for number in (1, 22, 22):
        package.write_text(f"X = {number}")
        state, said = _packed(run, package)
        assert (state.started, said.strip()) == ("warm", str(number))


def test_where_threads_are_at_work_nothing_is_forked(run: Run, package: Path) -> None:
    package.write_text("import threading, time\nt = threading.Thread(target=time.sleep, args=(1,))\nt.start()\nX = t")
    for _ in range(2):
        state, said = _packed(run, package, "import pack; print(pack.X.is_alive())")
        assert (state.started, said.strip()) == ("1 threads are at work after its imports", "True")


def test_where_processes_are_at_work_nothing_is_forked(run: Run, package: Path) -> None:
    package.write_text("import subprocess\nX = subprocess.Popen(['sleep', '1'])")
    assert _packed(run, package)[0].started == "processes are at work after its imports"


def test_a_module_that_is_being_worked_on_is_imported_each_time(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "src" / "pack.py"
    path.parent.mkdir()
    path.write_text("X = 5")
    state, said = _packed(run, path)
    assert (state.started, said.strip()) == (
        "pack is imported from outside the installed packages, and may change",
        "5",
    )


def test_what_the_imports_print_stands_in_every_log(run: Run, package: Path) -> None:
    package.write_text(
        "import os, warnings\nprint('hello')\nos.system('echo there')\nwarnings.warn('old', stacklevel=2)\nX = 1"
    )
    said = {_packed(run, package)[1] for _ in range(2)} | {
        run("import pack; print(pack.X)", imports=[], environment={"PYTHONPATH": str(package.parent)})[1]
    }
    assert len(said) == 1 and "02_train_v001.py:1: UserWarning: old" in said.pop()


def test_imports_that_fail_fail_in_the_script(run: Run, package: Path) -> None:
    package.write_text("import nowhere")
    state, said = _packed(run, package)
    assert (state.exit_code, state.started) == (1, "ModuleNotFoundError: No module named 'nowhere'")
    assert said.splitlines()[1].endswith('02_train_v001.py", line 1, in <module>')


def test_an_interpreter_that_dies_over_the_imports_is_replaced(run: Run, package: Path) -> None:
    package.write_text("import os, sys\nif not hasattr(sys.modules['__main__'], 'IN'): os.kill(os.getpid(), 9)\nX = 1")
    state, said = _packed(run, package, "IN = 1\nimport pack; print(pack.X)")
    assert (state.exit_code, said.strip()) == (0, "1")
    assert "ended" in state.started


# ---- scripts in different folders


@pytest.fixture
def both(local: Local, folder: Path, package: Path) -> Callable[..., list[tuple[str, str]]]:
    """What a script says in one folder and then in another: warm from one guard, and in a new interpreter."""

    def both(text: str, imports: list[str] = IMPORTS, path: str = "") -> list[tuple[str, str]]:
        told = []
        for name in ("the first", "the second"):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / "own.py").write_text(f"NAME = {name!r}")
            said = []
            for begins in (imports, []):
                job = _submit(
                    local, folder / name, text, imports=begins, environment={"PYTHONPATH": path or str(package.parent)}
                )
                state = local.wait(job, lambda: None, poll_seconds=0.02)
                assert (state.exit_code, state.started) == (0, "warm" if begins else ""), job.log.read_text()
                said.append(job.log.read_text())
            told.append((said[0], said[1]))
        return told

    return both


WHERE = """
import decimal, multiprocessing, logging, warnings, threading
import inspect, io, os, sys, own, tempfile, traceback, multiprocessing.process
from pathlib import Path
print(own.NAME, own.__file__, __file__, __loader__.path, sys.argv, sys.path)
print(os.getcwd(), Path.cwd(), Path("x").resolve())
print(sorted(v for v in os.environ.items() if v[0] != "PROGTRAIN_JOB"))
print(multiprocessing.process.ORIGINAL_DIR, tempfile.gettempdir(), sys.modules["own"])
print(type(os.getcwd), type(os.stat), type(open), os.stat in os.supports_fd, open is io.open)
print(inspect.getsource(own), [p for p in sys.path_importer_cache if "the first" in p and "second" in __file__])
warnings.warn("told")
"""


def test_an_interpreter_serves_scripts_in_other_folders_as_a_new_one_would(
    both: Callable[..., list[tuple[str, str]]],
) -> None:
    (first, cold), (second, as_cold) = both(WHERE)
    assert (first, second) == (cold, as_cold)
    assert first.startswith("the first ") and second.startswith("the second ")
    told = both("import decimal; print(id(decimal.Decimal))")
    assert told[0][0] == told[1][0]


@pytest.mark.parametrize(
    ("package_text", "path"),
    [
        ("import os\nX = os.getcwd()", ""),
        ("import pathlib\nX = str(pathlib.Path('x').resolve())[-8:]", ""),
        ("import os\nX = sorted(os.listdir())", ""),
        ("import os\nX = os.path.exists('packrc')", ""),
        ("try:\n    X = open('packrc').read()\nexcept OSError:\n    X = None", ""),
        ("import __main__\nX = __main__.__file__", ""),
        ("import sys\nX = sys.path[2]", "{packages}:relative"),
        ("import importlib.metadata as m\nX = [d.name for d in m.distributions() if d.name == 'Own']", ""),
    ],
)
def test_what_the_imports_take_from_their_folder_is_taken_anew(
    both: Callable[..., list[tuple[str, str]]], folder: Path, package: Path, package_text: str, path: str
) -> None:
    package.write_text(package_text)
    (folder / "the second").mkdir()
    (folder / "the second" / "packrc").write_text("set")
    if "metadata" in package_text:
        (folder / "the second" / "own-1.0.dist-info").mkdir()
        (folder / "the second" / "own-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: Own\n")
    text = "import pack; print(pack.X)"
    (first, cold), (second, as_cold) = both(text, ["import pack"], path.format(packages=package.parent))
    assert (first, second) == (cold, as_cold)
    assert first != second


@pytest.mark.slow
def test_torch_and_lightning_know_the_folder_of_the_script(
    both: Callable[..., list[tuple[str, str]]], folder: Path
) -> None:
    """Nothing of theirs names the folder in which they were imported, and they are imported once."""
    pytest.importorskip("lightning")
    text = """
    import torch
    import lightning
    import gc, os, rich
    from torch._dynamo import config
    from torch._inductor import config as other
    if gc.get_freeze_count() > 1000:
        open("warm", "w").write(str(id(torch.Tensor)))
        gc.unfreeze()
    texts = {k: v for c in (config, other) for k, v in c.get_config_copy().items() if type(v) is str}
    print(texts, rich._IMPORT_CWD)
    beside = os.path.dirname(os.getcwd()) + "/"
    # the process that waits knows its folder and its script
    known = ("", "the first", "the first/02_train_v001.py")
    found = {v for o in gc.get_objects() for v in gc.get_referents(o) if type(v) is str and v.startswith(beside)}
    print(sorted(v for v in found if not v.startswith(os.getcwd()) and v not in [beside + name for name in known]))
    """
    (first, cold), (second, as_cold) = both(text, ["import torch", "import lightning"])
    assert first == cold
    assert second == as_cold
    assert "the first" not in second
    assert (folder / "the first/warm").read_text() == (folder / "the second/warm").read_text()


# ---- ends


def test_what_is_there_between_two_jobs_may_end(local: Local, folder: Path, run: Run) -> None:
    state, _ = run("")
    os.kill(_warm_of(state.pid), signal.SIGKILL)
    begun, said = run("print('once')")
    assert (begun.exit_code, said, begun.started) == (0, "once\n", "warm")
    os.kill(state.pid, signal.SIGKILL)
    assert _gone(state.pid)
    begun, said = run("print('once')")
    assert (begun.exit_code, said, begun.started) == (0, "once\n", "warm")


SLEEP = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"


def test_cancel_and_time_limit_end_it(local: Local, folder: Path, run: Run) -> None:
    job = _submit(local, folder, SLEEP, imports=IMPORTS)
    _running(local, job, folder / "pid")
    local.cancel(job)
    assert local.wait(job, lambda: None).ended_by == "cancelled"
    state, _ = run(f"import signal; signal.signal(15, signal.SIG_IGN)\n{SLEEP}", timeout_seconds=1.0)
    assert (state.ended_by, state.exit_code, state.started) == ("time limit", -signal.SIGKILL, "warm")
    assert run("print('next')")[1] == "next\n"


def test_nothing_of_the_tree_is_left_behind(run: Run, folder: Path) -> None:
    state, _ = run(ORPHAN)
    assert (state.leftovers, state.started) == (1, "warm")
    assert _gone(int((folder / "orphan.pid").read_text()))


def test_a_killed_guard_takes_all_along(local: Local, folder: Path) -> None:
    job = _submit(local, folder, SLEEP, imports=IMPORTS)
    state = _running(local, job, folder / "pid")
    warm = _warm_of(state.pid)
    os.kill(state.pid, signal.SIGKILL)
    assert _gone(int((folder / "pid").read_text()), warm)
    assert local.wait(job, lambda: None).ended_by == LOST


@pytest.mark.parametrize("keeper", [False, True], ids=["guard", "guard and keeper"])
def test_a_worker_that_a_fork_has_forked_ends_too(keeper: bool, local: Local, folder: Path) -> None:
    """A data loader's, say, in a session of its own: its environment is that of the process that ran the imports."""
    text = f"{ORPHAN.replace('time.sleep(600)', 'time.sleep(60)')}\n{SLEEP}"
    job = _submit(local, folder, text, imports=IMPORTS)
    state = _running(local, job, folder / "pid")
    orphan = int((folder / "orphan.pid").read_text())
    assert state.started == "warm"
    if keeper:
        os.kill(psutil.Process(state.pid).ppid(), signal.SIGKILL)
    os.kill(state.pid, signal.SIGKILL)
    if keeper:
        assert _gone(state.pid) and psutil.pid_exists(orphan)
        assert leftovers.end_all(job.path.parent) == 1
    assert _gone(orphan)


def test_a_job_outlives_a_killed_runner_and_nothing_outlives_the_job(folder: Path) -> None:
    text = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\nwhile not os.path.exists('go'): time.sleep(0.02)"
    runner = (
        "import sys, time; from pathlib import Path; from progtrain.engine.jobs.local import Local\n"
        "from tests.jobs.test_warm import _submit, IMPORTS\n"
        "local = Local(); _submit(local, Path(sys.argv[1]), sys.argv[2], imports=IMPORTS, timeout_seconds=60)\n"
        "time.sleep(60)"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", runner, str(folder), text], cwd=root)
    job = JobFolder(folder / ".jobs" / "one")
    state = _running(Local(), job, folder / "pid")
    warm = _warm_of(state.pid)
    process.kill()
    process.wait()
    time.sleep(0.3)
    assert psutil.pid_exists(int((folder / "pid").read_text()))
    (folder / "go").touch()
    ended = Local().wait(job, lambda: None)
    assert (ended.exit_code, ended.ended_by, ended.started) == (0, None, "warm")
    assert _gone(state.pid, warm)


def test_it_ends_with_whoever_started_it(run: Run, local: Local) -> None:
    state, _ = run("")
    warm = _warm_of(state.pid)
    local.close()
    assert _gone(state.pid, warm)


def test_imports_that_hang_end_at_the_time_limit(run: Run, package: Path) -> None:
    package.write_text("import time; time.sleep(600)")
    state, _ = run(
        "import pack", imports=["import pack"], environment={"PYTHONPATH": str(package.parent)}, timeout_seconds=1.0
    )
    assert state.ended_by == "time limit" and state.seconds < 30
