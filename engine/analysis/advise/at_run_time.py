"""Settings that something else decides while the script runs: an action on one of them would have no effect.

The script says what it calls, the record of the version's training what took place (`engine/live`). Where the two
leave a doubt, the setting counts as decided by the script.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from progtrain.engine.errors import InputError
from progtrain.engine.script.config_files import is_config
from progtrain.engine.script.names import ALIASES, FIXED, PARTS, canonical
from progtrain.engine.script.nodes import argument, assigned, called, calls, identifiers, keyword, last_name, text_of
from progtrain.engine.script.settings import Setting, choose_setting, find_settings, literal, parse_script
from progtrain.engine.script.sources import files_of

#: what is called -> the setting that it searches a value for
_SEARCHES = {
    "lr_find": "learning_rate",
    "LearningRateFinder": "learning_rate",
    "scale_batch_size": "batch_size",
    "BatchSizeFinder": "batch_size",
}
#: a schedule that sets the rate itself -> the argument that it does so from
_RULING = {"OneCycleLR": "max_lr", "CyclicLR": "base_lr"}
#: schedules that do not ask how long the training will be
_UNHURRIED = frozenset({"ReduceLROnPlateau", "StepLR", "MultiStepLR", "ExponentialLR", "ConstantLR"})
#: what may end a training before its last epoch -> in words
_ENDS = {"early stopping": "early stopping", "max_steps": "max_steps", "the script": "the script itself"}
_PARTS = frozenset(PARTS.values())
#: what takes whole config files, and asks for names that the code need not have
_TAKES_ALL = frozenset(
    {"LightningCLI", "instantiate", "instantiate_class", "from_argparse_args", "auto_cli", "CLI"}
    | {"HfArgumentParser", "parse_yaml_file", "parse_json_file"}
)
_Call = tuple[ast.Call, tuple[ast.expr, ...]]


def decided(source: str, training: Mapping[str, Any], arguments: Sequence[str] = ()) -> dict[str, str]:
    """Canonical key -> what decides it. `training` is the record of its training, empty where none was kept;
    `arguments` are what it is started with.
    """
    try:
        tree, settings = parse_script(source), find_settings(source)
    except InputError:
        return {}
    found = {canonical(str(name)): "a search before the training" for name in _list(training, "decided_at_run_time")}
    for name in _classes(training, "callbacks"):
        if name in _SEARCHES:
            found[_SEARCHES[name]] = name
    made = _made(source)
    for call, tests in made:
        key = _searched(call, tree)
        if key and not any(_is_off(test, settings) for test in tests):
            found[key] = called(call)
    for call, tests in made:
        if called(call) in _RULING and _takes_place(call, tests, training) and not _follows_rate(call, tree):
            found.setdefault("learning_rate", f"{called(call)} with its {_RULING[called(call)]}")
    return found | dict(_given(source, arguments))


@lru_cache(maxsize=8)
def _made(source: str) -> tuple[_Call, ...]:
    """Kept, since each of many candidates asks for them."""
    return tuple(_calls(parse_script(source)))


def _given(source: str, arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Settings that the arguments name: `--epochs 3`, `-e 3`, `--trainer.max_epochs=3`, `trainer.max_epochs=3`."""
    names: dict[str, str] = {}
    for call in (call for call, _ in _made(source) if arguments and called(call) == "add_argument"):
        options = [text for node in call.args if (text := text_of(node)) is not None]
        longest = text_of(keyword(call, "dest")) or next((o for o in options if o.startswith("--")), None)
        names |= {option: longest for option in options if longest}
    for word in arguments:
        name = word.partition("=")[0]
        if name.startswith("-") or "=" in word:
            key = canonical(names.get(name, name).lstrip("-+").rpartition(".")[2])
            yield key, f"{name} of training_args"


@lru_cache(maxsize=32)
def unread(source: str) -> dict[str, str]:
    """Canonical key -> the value of a config file that no code asks for, or passes on."""
    files = files_of(source)
    try:
        settings = find_settings(source)
        trees = [parse_script(source), *(parse_script(text) for name, text in files.items() if not is_config(name))]
    except InputError:
        return {}
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {name for tree in trees for name in identifiers(tree)} | {t for n in nodes if (t := text_of(n)) is not None}
    taken = {node.args.kwarg.arg for node in nodes if isinstance(node, ast.FunctionDef) and node.args.kwarg}
    passed = [k for n in nodes if isinstance(n, ast.Call) for k in n.keywords if k.arg is None]
    passes_on = any(last_name(keyword.value) not in taken for keyword in passed)
    found = {}
    for setting in settings if files and not names & _TAKES_ALL else ():
        *around, last = setting.name.split(".")
        if setting.source == "file" and last not in names and not (passes_on and names.issuperset(around[-1:])):
            found[setting.key] = setting.full_name
    return {key: name for key, name in found.items() if all(s.source == "file" for s in settings if s.key == key)}


def without_effect(
    operation: Mapping[str, Any],
    touched: frozenset[str],
    source: str,
    training: Mapping[str, Any],
    arguments: Sequence[str] = (),
) -> str | None:
    """Why an operation that touches these settings cannot change anything; None when it can."""
    keys = touched - _PARTS - {"revert"}
    if operation.get("operation") == "set" and keys and keys <= unread(source).keys():
        return "no code asks for it"
    ruled = decided(source, training, arguments)
    if keys and keys <= ruled.keys():
        return "; ".join(f"{ruled[key]} decides it while the script runs" for key in sorted(keys))
    epochs = operation.get("to")
    if operation.get("operation") == "set" and keys == {"epochs"} and isinstance(epochs, int):
        return _ended_before(epochs, source, training)
    return None


def told(source: str, training: Mapping[str, Any], arguments: Sequence[str] = ()) -> tuple[str, ...]:
    """What is not offered for this reason, a sentence each."""
    try:
        settings = find_settings(source)
    except InputError:
        return ()
    sentences = [
        f"{key.replace('_', ' ')}: no action, {by} decides it while the script runs"
        for key, by in decided(source, training, arguments).items()
        if any(setting.key == key for setting in settings)
    ]
    sentences += [
        f"{key.replace('_', ' ')}: no action, no code asks for {name}"
        for key, name in unread(source).items()
        if key in ALIASES and key not in FIXED
    ]
    if (why := _ended_before(None, source, training)) and any(setting.key == "epochs" for setting in settings):
        sentences.append(f"epochs: no more of them, {why}")
    return tuple(sentences)


def _list(training: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = training.get(name)
    return found if isinstance(found, list) else ()


def _classes(training: Mapping[str, Any], name: str) -> list[str]:
    entries = [entry.get("class") if isinstance(entry, dict) else entry for entry in _list(training, name)]
    return [str(entry).rpartition(".")[2] for entry in entries]


def _calls(node: ast.AST, tests: tuple[ast.expr, ...] = ()) -> Iterator[_Call]:
    """Each call with the tests that have to hold for it."""
    if isinstance(node, ast.Call):
        yield node, tests
    for child in ast.iter_child_nodes(node):
        body = node.body if isinstance(node, ast.If | ast.IfExp) else ()
        holds = child in body if isinstance(body, list | tuple) else child is body
        yield from _calls(child, (*tests, node.test) if holds and isinstance(node, ast.If | ast.IfExp) else tests)


def _searched(call: ast.Call, tree: ast.Module) -> str | None:
    """The setting that a call searches and sets."""
    name = called(call)
    if name == "Trainer" and calls(tree, "tune"):
        for argument_name, key in (("auto_lr_find", "learning_rate"), ("auto_scale_batch_size", "batch_size")):
            if (given := keyword(call, argument_name)) is not None and literal(given)[1]:
                return key
    keeps = literal(keyword(call, "update_attr")) == (True, False)
    return None if keeps and not calls(tree, "suggestion") else _SEARCHES.get(name)


def _is_off(test: ast.expr, settings: Sequence[Setting]) -> bool:
    """Whether it is a flag of the script that is false."""
    name = ast.unparse(test) if isinstance(test, ast.Name) else last_name(test)
    try:
        flag = choose_setting(settings, name) if name else None
    except InputError:
        return False
    return literal(test) == (True, False) or (flag is not None and not flag.value)


def _takes_place(call: ast.Call, tests: Sequence[ast.expr], training: Mapping[str, Any]) -> bool:
    """As the training tells where it knows; else where nothing has to hold for it."""
    if _list(training, "optimizers"):
        return called(call) in _classes(training, "schedulers")
    return not tests


def _follows_rate(call: ast.Call, tree: ast.Module) -> bool:
    """Whether the rate that a schedule takes is worked out from the learning rate, or cannot be read."""
    given = argument(call, _RULING[called(call)], 1)
    if given is None:
        return True
    values: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        for target, value in assigned(node):
            values.setdefault(last_name(target), set()).update(identifiers(value))
    seen: set[str] = set()
    waiting = {*identifiers(given), *_keys_in(given)}
    while waiting:
        seen |= waiting
        waiting = {name for known in waiting for name in values.get(known, ())} - seen
    return any(canonical(name) == "learning_rate" for name in seen)


def _keys_in(node: ast.AST) -> Iterator[str]:
    """`cfg["lr"]` names the rate too."""
    return (n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def _ended_before(epochs: int | None, source: str, training: Mapping[str, Any]) -> str | None:
    """Why the training would end where it did with that many epochs, or any larger number of them."""
    ended, trainer = training.get("ended"), training.get("trainer")
    if not isinstance(ended, dict) or not isinstance(trainer, dict) or ended.get("by") not in _ENDS:
        return None
    trained, most = ended.get("epochs"), trainer.get("max_epochs")
    if not isinstance(trained, int) or not isinstance(most, int) or trained >= most:
        return None
    if (epochs is not None and epochs <= trained) or not set(_classes(training, "schedulers")) <= _UNHURRIED:
        return None
    return f"{_ENDS[ended['by']]} ended the training after {trained} of {most}"
