"""Which way imports run, and what is never imported where people wait."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from progtrain.engine.templates.progtrain_eval import names

ROOT = Path(__file__).parents[1]
ALLOWED = {"tui": {"tui", "engine", "advisor"}, "engine": {"engine", "advisor"}, "advisor": {"advisor"}}
HEAVY = {"torch", "lightning", "pandas", "llama_cpp", "sklearn", "torchmetrics", "numpy"}
#: where heavy packages work: run as the user's own scripts, in the user's interpreter, or in the advisor's process
AT_WORK = (
    "engine/templates/",
    "engine/live/",
    "engine/additions/tools/",
    "advisor/llama/model.py",
    "advisor/llama/session.py",
    "advisor/worker.py",
)

LINES_OF_A_MODULE = 400
LINES_OF_A_FUNCTION = 50
#: the last eight are the screen of experiments, that of single runs, what follows their curves and logs, what
#: verdicts know of seed noise, and the fifth operation with what came of it
CLASSES = 238
#: experiments are a chapter of their own, and their plan is a file with many parts
#: and a screen is handed it frozen: the whole, and a row of it
EXPERIMENT, ITS_CLASSES = "engine/experiment", 47
#: what a loop owes to whoever has to believe it: additions to the data, records, trackers, agents, campaigns, repeats
EVIDENCE = tuple(
    f"engine/{room}" for room in ("additions", "agents", "campaign", "records", "repeats", "side_by_side", "trackers")
)
THEIR_CLASSES = 40


@cache
def _modules() -> tuple[Path, ...]:
    return tuple(path for package in ALLOWED for path in sorted((ROOT / package).rglob("*.py")))


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _trees() -> dict[Path, ast.Module]:
    """Each module is parsed once, whatever is asked of it."""
    return {path: ast.parse(path.read_text()) for path in _modules()}


@cache
def _nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """A module's nodes, of the kinds that tests here ask for: all of them would be many to keep."""
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    kinds = definitions | ast.Import | ast.ImportFrom | ast.If | ast.Call | ast.Compare | ast.Constant
    return tuple(node for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    yield
    _trees.cache_clear()
    _nodes.cache_clear()


def _imports(nodes: Iterable[ast.AST]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_imports_run_one_way() -> None:
    wrong = set()
    for path, tree in _trees().items():
        packages = {name.split(".")[1] for name in _imports(_nodes(tree)) if name.startswith("progtrain.")}
        wrong |= {f"{_place(path)}: {other}" for other in packages - ALLOWED[path.relative_to(ROOT).parts[0]]}
    assert wrong == set()


def test_heavy_packages_are_imported_only_where_they_work() -> None:
    wrong = set()
    for path, tree in _trees().items():
        if not _place(path).startswith(AT_WORK):
            top = {name.split(".")[0] for name in _imports(tree.body)}
            wrong |= {f"{_place(path)}: {name}" for name in top & HEAVY}
    assert wrong == set()


def _runs_never(tree: ast.AST) -> set[ast.AST]:
    """Imports for types alone."""
    blocks = (n for n in _nodes(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    return {inside for block in blocks for line in block.body for inside in ast.walk(line)}


def _name(path: Path) -> str:
    parts = ("progtrain", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def _imported_modules(path: Path, modules: dict[str, Path]) -> set[str]:
    """Ours, wherever in the module they are imported: inside a function too."""
    tree = _trees()[path]
    never, found = _runs_never(tree), set[str]()
    for node in (n for n in _nodes(tree) if n not in never):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            package = f"{_name(path.parent)}." if node.level else ""
            parts = {alias.name: f"{package}{node.module}.{alias.name}" for alias in node.names}
            found |= {part if part in modules else f"{package}{node.module}" for part in parts.values()}
    return found & modules.keys()


def test_there_is_no_cycle() -> None:
    modules = {_name(path): path for path in _modules()}
    graph = {name: _imported_modules(path, modules) - {name} for name, path in modules.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for other in graph[name]:
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_modules_and_functions_have_a_size_to_read() -> None:
    sources = _trees() | {path: ast.parse(path.read_text()) for path in sorted((ROOT / "models").rglob("*.py"))}
    # what a user runs by hand is one file; what it works with lies beside it
    parts = [path for path in sources if not path.name.startswith("04_")]
    long_modules = {_place(path) for path in parts if len(path.read_text().splitlines()) > LINES_OF_A_MODULE}
    long_functions = {
        f"{_place(path)}:{node.name}"
        for path, tree in sources.items()
        for node in _nodes(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LINES_OF_A_FUNCTION
    }
    assert (long_modules, long_functions) == (set(), set())


def test_there_are_few_classes_to_know() -> None:
    """A new one has to be worth a concept more: there is often one that says the same."""
    counts = {path: sum(isinstance(node, ast.ClassDef) for node in _nodes(tree)) for path, tree in _trees().items()}
    of_it = {path: count for path, count in counts.items() if path.is_relative_to(ROOT / EXPERIMENT)}
    # a worker is one class by its contract: there are as many as tools, and whoever knows one knows them all
    workers = sum(count for path, count in of_it.items() if path.parent.name == "workers" and path.name != "base.py")
    assert sum(of_it.values()) - workers <= ITS_CLASSES
    theirs = sum(count for path, count in counts.items() if any(path.is_relative_to(ROOT / room) for room in EVIDENCE))
    assert theirs <= THEIR_CLASSES
    assert sum(counts.values()) - sum(of_it.values()) - theirs <= CLASSES


#: each stands alone: copied into a workspace, run in the user's interpreter, or without anything of the engine's
STAND_ALONE = ("engine/templates/", "engine/live/", "engine/additions/tools/", "advisor/")


def _calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    for node in _nodes(tree):
        if isinstance(node, ast.Call):
            of = node.func
            if (of.attr if isinstance(of, ast.Attribute) else of.id if isinstance(of, ast.Name) else "") in names:
                yield node


def _compared(tree: ast.AST) -> Iterator[ast.expr]:
    for node in _nodes(tree):
        if isinstance(node, ast.Compare):
            yield from (node.left, *node.comparators)


def _text_cleaned(tree: ast.AST) -> Iterator[ast.AST]:
    """Control characters are looked for, one by one or with a pattern."""
    yield from _calls(tree, "isprintable", "translate", "category")
    calls = (node for node in _nodes(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    patterns = (call for call in calls if isinstance(call.func.value, ast.Name) and call.func.value.id == "re")
    for call in patterns:
        texts = [c.value for c in ast.walk(call) if isinstance(c, ast.Constant) and isinstance(c.value, str)]
        if any(re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\\x[0189]|\\u20[026]|\\033", text) for text in texts):
            yield call


def _metric_names_compared(tree: ast.AST) -> Iterator[ast.AST]:
    """A metric's name is written in lower case to be compared, or one of its other spellings is known."""
    for call in _calls(tree, "casefold", "lower"):
        if "metric" in ast.unparse(call.func) and any(call in ast.walk(side) for side in _compared(tree)):
            yield call
    for node in _nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names._USUAL:
            yield node


def _values_compared(tree: ast.AST) -> Iterator[ast.AST]:
    """Numbers within rounding, or anything by what it is written as."""
    yield from _calls(tree, "isclose", "allclose")
    sides = list(_compared(tree))
    yield from (call for call in _calls(tree, "dumps", "repr", "literal_eval") if call in sides)


@pytest.mark.parametrize(
    ("home", "copies"),
    [
        ("engine/text.py", _text_cleaned),
        ("engine/templates/progtrain_eval/names.py", _metric_names_compared),
        ("engine/values.py", _values_compared),
    ],
)
def test_text_metric_names_and_values_have_one_home(home: str, copies: Callable[[ast.AST], Iterable[ast.AST]]) -> None:
    """What is harmless, which names mean one metric, and which values are equal is decided in one module each."""
    places = {_place(path): tree for path, tree in _trees().items()}
    assert list(copies(places.pop(home)))
    found = [
        f"{place}:{node.lineno}: {ast.unparse(node)}"  # type: ignore[attr-defined]
        for place, tree in places.items()
        if not place.startswith(STAND_ALONE)
        for node in copies(tree)
    ]
    assert found == []


#: what stands alone reads its own files; it is run in the user's interpreter, or without anything of the engine's
TOOLS = ("engine/experiment/tools/", "engine/trackers/tools/")
#: who reads past `engine/files.py`, what of it, and why that is harmless
PAST_THE_DOOR: dict[str, tuple[str, str]] = {
    "engine/files.py": ("os.open path.open json.loads", "it is the door"),
    "engine/json_text.py": ("json.loads", "for JSON"),
    "engine/yaml_text.py": ("yaml.parse", "for YAML"),
    "engine/arrays.py": ("zipfile.ZipFile", "for arrays; the file is opened by the door"),
    "engine/additions/folder.py": ("os.open", "what it has just copied is synced, not read"),
    "engine/adopt.py": ("json.loads", "a value of the command line"),
    "engine/analysis/advise/candidates.py": ("json.loads", "what it has just written itself"),
    "engine/bring/folders.py": ("Image.open", "the file is opened by the door, the formats are named"),
    "engine/cli/evidence.py": ("json.loads", "a value of the command line"),
    "engine/cli/imports.py": ("json.loads", "what a child of ours says"),
    "engine/cli/main.py": ("os.open", "the null device, to write to"),
    "engine/control/lock.py": ("os.open", "locks are held, not read"),
    "engine/experiment/checkpoints.py": ("zipfile.ZipFile", "the file is opened by the door"),
    "engine/experiment/estimate.py": ("json.loads", "the index, a cache of the user's own"),
    "engine/experiment/index.py": ("sqlite3.connect", "the index, a cache of the user's own"),
    "engine/experiment/interpreter.py": ("json.loads", "what a child says, in a line"),
    "engine/experiment/outcome.py": ("zipfile.is_zipfile", "the file is opened by the door"),
    "engine/experiment/query.py": ("json.loads", "the index, a cache of the user's own"),
    "engine/experiment/runner.py": ("json.loads", "the command line of a runner"),
    "engine/experiment/stages/design.py": ("yaml.safe_load", "a value of the command line"),
    "engine/experiment/workers/command.py": ("json.loads", "an environment variable"),
    "engine/jobs/alive.py": ("read_text read_bytes", "files of the kernel"),
    "engine/jobs/guard.py": ("os.open json.loads", "the null device, and lines of the runner that started it"),
    "engine/jobs/leftovers.py": ("open", "files of the kernel"),
    "engine/jobs/warm.py": ("json.loads", "what a child of ours says"),
    "engine/script/action/operation.py": ("yaml.compose", "what it has just written itself"),
    "engine/script/config_files.py": (
        "tomllib.loads yaml.safe_load",
        "text that the door has read, and a single value",
    ),
    "engine/trackers/export_tool.py": ("json.loads", "what a child of ours says"),
    "engine/trackers/imports_sqlite.py": ("sqlite3.connect", "looked at through the door first, and bounded by SQLite"),
    "tui/client.py": ("json.loads", "what a child of ours says"),
    "tui/preferences.py": ("tomllib.loads", "text that the door has read"),
    "tui/reading/pictures.py": ("Image.open", "the file is opened by the door, the formats are named"),
    "tui/reading/prefetch.py": ("os.open pickle.loads", "the null device, and what a child of ours says"),
    "advisor/llama/machine.py": ("read_text", "files of the kernel"),
    "advisor/llama/header.py": ("path.open", "in the advisor's own process; the file was looked at before"),
    "advisor/process.py": ("json.loads", "what a child of ours says"),
    "advisor/prose/wording.py": ("tomllib.loads read_text", "files of the package"),
    "advisor/worker.py": ("path.open json.loads", "in the advisor's own process; the file was looked at before"),
}
_READ = {
    "os": {"open"},
    "io": {"open"},
    "Image": {"open"},
    "json": {"load", "loads"},
    "pickle": {"load", "loads"},
    "torch": {"load"},
    "tomllib": {"load", "loads"},
    "zipfile": {"ZipFile", "is_zipfile"},
    "tarfile": {"open"},
    "gzip": {"open"},
    "sqlite3": {"connect"},
    "np": {"load", "loadtxt", "genfromtxt", "fromfile", "memmap"},
    "pd": {"read_csv", "read_json", "read_pickle", "read_parquet", "read_table", "read_excel"},
    "yaml": {"load", "safe_load", "full_load", "unsafe_load", "parse", "compose", "load_all", "safe_load_all", "scan"},
}


def _read_raw(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where a file, or what was in one, is read in another way than by the engine's own: line and name."""
    for call in (node for node in _nodes(tree) if isinstance(node, ast.Call)):
        of = call.func
        if isinstance(of, ast.Name) and of.id in ("open", "ZipFile"):
            yield call.lineno, of.id
        if not isinstance(of, ast.Attribute):
            continue
        owner = of.value.id if isinstance(of.value, ast.Name) else ""
        if of.attr in _READ.get(owner, ()):
            yield call.lineno, f"{owner}.{of.attr}"
        elif of.attr in ("read_text", "read_bytes") and owner != "files":
            yield call.lineno, of.attr
        elif of.attr == "open" and owner not in _READ and _may_read(call):
            yield call.lineno, "path.open"


def _may_read(call: ast.Call) -> bool:
    """Of a path: `open()`, `open("rb")`; not `open("w")`, and no method of that name with something to show."""
    named = [word.value for word in call.keywords if word.arg == "mode"]
    modes = [mode.value for mode in (call.args + named)[:1] if isinstance(mode, ast.Constant) and mode.value]
    if not modes:
        return not call.args
    return isinstance(modes[0], str) and ("+" in modes[0] or modes[0].startswith("r"))


def test_files_of_others_are_read_through_one_door() -> None:
    """Bounded, ordinary files alone, JSON that no reader chokes on: `engine/files.py`, and what stands on it."""
    found: dict[str, set[str]] = {}
    places: list[str] = []
    for path, tree in _trees().items():
        if (place := _place(path)).startswith((*STAND_ALONE[:3], *TOOLS)):
            continue
        allowed = set(PAST_THE_DOOR.get(place, ("", ""))[0].split())
        for line, name in _read_raw(tree):
            found.setdefault(place, set()).add(name)
            if name not in allowed:
                places.append(f"{place}:{line}: {name}")
    assert places == []
    # and none is named that has no need of it any more
    assert found == {place: set(names.split()) for place, (names, _) in PAST_THE_DOOR.items()}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("open(a)", ["open"]),
        ("path.open()", ["path.open"]),
        ("path.open('rb')", ["path.open"]),
        ("path.open(mode='r+b')", ["path.open"]),
        ("path.open('ab+')", ["path.open"]),
        ("(a / b).open(encoding='utf-8')", ["path.open"]),
        ("path.open('w'); path.open('ab', buffering=0); self.open(key); screen.open(None)", []),
        ("(a / b).read_text(); x.read_bytes()", ["read_text", "read_bytes"]),
        (
            "json.load(f); np.load(p); Image.open(p); pd.read_csv(p)",
            ["json.load", "np.load", "Image.open", "pd.read_csv"],
        ),
        ("yaml.safe_load(t); yaml.load(t, Loader=L)", ["yaml.safe_load", "yaml.load"]),
        ("read_text(p); files.read_bytes(p); opened(p); json.dumps(a); yaml.safe_dump(a)", []),
    ],
)
def test_what_reads_past_the_door_is_seen(code: str, found: list[str]) -> None:
    assert [name for _, name in _read_raw(ast.parse(code))] == found


@pytest.mark.parametrize(
    "folder",
    ["engine/templates", "engine/live", "engine/experiment/tools", "engine/trackers/tools", "engine/additions/tools"],
)
def test_what_runs_in_the_users_interpreter_is_python_3_9(folder: str) -> None:
    """Its grammar, no `int | str` that is worked out, and no `zip(strict=)`."""
    wrong = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            kinds = call.args[1:] if ast.unparse(call.func) in ("isinstance", "issubclass") else []
            unions = [kind for kind in kinds if isinstance(kind, ast.BinOp)]
            strict = ast.unparse(call.func) == "zip" and any(word.arg == "strict" for word in call.keywords)
            if unions or strict or ast.unparse(call.func) == "hashlib.file_digest":
                wrong.append(f"{path.name}:{call.lineno}: {ast.unparse(call)}")
    assert wrong == []


#: each is an extra, imported by commands of its own alone, by a script in the interpreter that has it, or not at all:
#: never by the loop, `status` or the app
EXTRAS: dict[str, set[str]] = {
    "mcp": {"engine/agents/fetching.py", "engine/agents/server.py"},
    **{tool: {f"engine/trackers/tools/export_{tool}.py"} for tool in ("mlflow", "trackio", "wandb")},
    **{tool: set() for tool in ("tensorboard", "tensorboardX")},
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_extras_are_imported_where_they_are_needed(extra: str) -> None:
    names = {
        path: {n.split(".")[0].removesuffix("_types") for n in _imports(_nodes(t))} for path, t in _trees().items()
    }
    found = {path for path, imported in names.items() if extra in imported}
    assert {_place(path) for path in found} == EXTRAS[extra]
    # who needs them loads them by name: `engine/agents/optional.py`
    modules = {_name(path): path for path in found}
    assert not any(_imported_modules(path, modules) for path in _modules())


def test_status_imports_nothing_heavy(tmp_path: Path) -> None:
    """It answers at once."""
    code = (
        "import sys; from progtrain.engine.cli.main import main; main(['-C', sys.argv[1], 'status']);"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
