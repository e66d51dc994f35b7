"""Lightning's Trainer, its checkpoints and its logger, so that files come where they are looked for."""

from __future__ import annotations

import ast
import re

from progtrain.engine.script.baseline.datapaths import ARTIFACT_TEXT
from progtrain.engine.script.baseline.desk import Desk
from progtrain.engine.script.baseline.paths import Module
from progtrain.engine.script.baseline.uses import find_uses
from progtrain.engine.script.editor import Edit
from progtrain.engine.script.nodes import argument, called, calls, keyword
from progtrain.engine.script.structure import describe

_MONITORED = re.compile(r"^(?:val|valid|validation)[_/]?(?:loss|mse|nll|ce|cross_entropy)(?:_epoch)?$", re.IGNORECASE)


def wire(desk: Desk) -> None:
    main = desk.main
    if any(calls(main.tree, "LightningCLI")):
        call = next(iter(calls(main.tree, "LightningCLI")))
        problem = "LightningCLI takes its settings from the command line; a version has to say everything itself"
        desk.problem("trainer", main, call.lineno, problem, "build the Trainer in the script: Trainer(...).fit(...)")
        return
    trainers = [call for call in calls(main.tree, "Trainer") if keyword(call, "fast_dev_run") is None]
    if len(trainers) != 1:
        return  # no Lightning, or more than can be told apart: what comes out is checked all the same
    if any(k.arg is None for k in trainers[0].keywords) and not _seen(trainers[0]):
        return
    _checkpoints(desk)
    _logger(desk)
    _settings_kept(desk)


def _seen(trainer: ast.Call) -> bool:
    return keyword(trainer, "callbacks") is not None and keyword(trainer, "logger") is not None


def _trainer(desk: Desk) -> ast.Call:
    return next(c for c in calls(desk.main.tree, "Trainer") if keyword(c, "fast_dev_run") is None)


def artifacts(module: Module) -> str:
    """How the script can say its artifact folder: by a constant of its own, where it has one."""
    for name in module.names:
        template = module.constant(name)
        if template is not None and template.text == ARTIFACT_TEXT:
            return name
    return f'f"{ARTIFACT_TEXT}"'


def lightning(module: Module) -> str:
    """The package's name: scripts of older days import pytorch_lightning."""
    for node in ast.walk(module.tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if any(name.partition(".")[0] == "pytorch_lightning" for name in names):
            return "pytorch_lightning"
    return "lightning.pytorch"


def comes_to(module: Module, node: ast.expr | None) -> str | None:
    template = module.template(node)
    return None if template is None else re.sub(r"/+$", "", template.text)


# --- checkpoints --------------------------------------------------------------------------------------------------


def _checkpoints(desk: Desk) -> None:
    main = desk.main
    found = list(calls(main.tree, "ModelCheckpoint"))
    if writes(desk, "best.ckpt") and writes(desk, "last.ckpt"):
        return
    if not found:
        if not any(any(calls(module.tree, "ModelCheckpoint")) for module in desk.modules[1:]):
            _add_checkpoint(desk)
        return
    chosen = found if len(found) == 1 else [c for c in found if comes_to(main, argument(c, "filename", 1)) == "best"]
    chosen = chosen if len(chosen) == 1 else [c for c in found if argument(c, "monitor", 2) is not None]
    if len(chosen) != 1:
        problem = "which of the ModelCheckpoints keeps the best one cannot be told"
        fix = f'give one of them dirpath=f"{ARTIFACT_TEXT}", filename="best", save_last=True'
        desk.problem("checkpoint", main, found[0].lineno, problem, fix)
        return
    _set_checkpoint(desk, chosen[0])


def _set_checkpoint(desk: Desk, call: ast.Call) -> None:
    main, wanted, said = desk.main, dict[str, str](), list[str]()
    if comes_to(main, argument(call, "dirpath", 0)) != ARTIFACT_TEXT:
        wanted["dirpath"] = artifacts(main)
    if comes_to(main, argument(call, "filename", 1)) != "best":
        wanted["filename"] = '"best"'
    if not _is(argument(call, "save_last"), True, "link") and not writes(desk, "last.ckpt"):
        wanted["save_last"] = "True"
    kept = argument(call, "save_top_k")
    if kept is not None and not _is(kept, 1):
        # more than one under the name "best" would become best-v1.ckpt and so on
        wanted["save_top_k"] = "1"
    said = [f"{name}={value}" for name, value in wanted.items()]
    if argument(call, "monitor", 2) is None:
        desk.notes.append("ModelCheckpoint has no monitor: best.ckpt is the last epoch's, not the best one's")
    if not wanted:
        return
    problem = "the checkpoints do not come out as best.ckpt and last.ckpt in the version's folder"
    desk.fixed("checkpoint", main, call.lineno, problem, f"ModelCheckpoint({', '.join(said)})")
    desk.apply(main, _keywords(main, call, wanted, ("dirpath", "filename")))


def _keywords(module: Module, call: ast.Call, wanted: dict[str, str], positional: tuple[str, ...]) -> list[Edit]:
    """New ones go in together, in one place."""
    edits, new = [], []
    for name, value in wanted.items():
        position = positional.index(name) if name in positional else None
        given = argument(call, name, position)
        if given is not None:
            edits.append(module.source.replace(given, value))
        else:
            new.append(f"{name}={value}")
    if new:
        edits.append(module.source.add_item(call, ", ".join(new)))
    return edits


def _is(node: ast.expr | None, *values: object) -> bool:
    return isinstance(node, ast.Constant) and any(
        node.value is v or (node.value == v and type(node.value) is type(v)) for v in values
    )


def _add_checkpoint(desk: Desk) -> None:
    main = desk.main
    name, imports = main.source.import_name(f"{lightning(main)}.callbacks", "ModelCheckpoint")
    monitor = _monitor(main)
    watched = f'monitor="{monitor}", ' if monitor else ""
    code = f'{name}(dirpath={artifacts(main)}, filename="best", {watched}save_last=True)'
    edit = _into_callbacks(main, _trainer(desk), code)
    if edit is None:
        problem = "no ModelCheckpoint, and the Trainer's callbacks are not a list that is written down"
        desk.problem("checkpoint", main, _trainer(desk).lineno, problem, f"add to them: {code}")
        return
    if monitor is None:
        desk.notes.append("no validation loss is logged under a usual name: best.ckpt is the last epoch's")
    edits = [*imports, *edit]
    enabled = keyword(_trainer(desk), "enable_checkpointing")
    if _is(enabled, False) and enabled is not None:
        edits.append(main.source.replace(enabled, "True"))
    problem = "nothing writes best.ckpt and last.ckpt into the version's folder"
    desk.fixed("checkpoint", main, _trainer(desk).lineno, problem, f"callback added: {code}")
    desk.apply(main, edits)


def _variable(module: Module, user: ast.expr, name: str, code: str) -> tuple[str, Edit]:
    """A new variable before the statement that is to use it, under a name that is free."""
    taken = {node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)}
    free = next(n for n in (name, f"{name}_of_version", f"_{name}_of_version") if n not in taken)
    statement: ast.AST = user
    while not isinstance(statement, ast.stmt):
        statement = module.parents[statement]
    line = f"{free} = {code}"
    if len(line) + statement.col_offset > 100:
        head, _, rest = line.partition("(")
        line = f"{head}(\n    {rest.removesuffix(')')}\n)"
    return free, module.source.insert_before(statement, line)


def _monitor(module: Module) -> str | None:
    """A validation loss that the script logs."""
    logged = [c.args[0] for c in calls(module.tree, "log") if c.args]
    for call in calls(module.tree, "log_dict"):
        if call.args and isinstance(call.args[0], ast.Dict):
            logged += [key for key in call.args[0].keys if key is not None]
    names = [node.value for node in logged if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return next((name for name in names if _MONITORED.match(name)), None)


def _into_callbacks(module: Module, trainer: ast.Call, code: str) -> list[Edit] | None:
    """One more callback for the Trainer; None when the list of them is made elsewhere."""
    given = keyword(trainer, "callbacks")
    if given is None or _is(given, None):
        variable, statement = _variable(module, trainer, "checkpoint", code)
        return [statement, module.source.set_keyword(trainer, "callbacks", f"[{variable}]")]
    if isinstance(given, ast.Name):
        given = _list_behind(module, given) or given
    if not isinstance(given, ast.List) and not _makes_one(given):
        return None
    variable, statement = _variable(module, given, "checkpoint", code)
    if isinstance(given, ast.List):
        return [statement, module.source.add_item(given, variable)]
    return [statement, module.source.replace(given, f"[{module.source.segment(given)}, {variable}]")]


def _makes_one(node: ast.expr | None) -> bool:
    """A class is called: what a function returns may be a list already."""
    return isinstance(node, ast.Call) and called(node)[:1].isupper()


def _list_behind(module: Module, name: ast.Name) -> ast.List | None:
    value = _value_behind(module, name)
    return value if isinstance(value, ast.List) else None


def _value_behind(module: Module, name: ast.Name) -> ast.expr | None:
    """What a variable is set to, when that is done once."""
    function = module.function_of(name)
    values = [
        node.value
        for node in ast.walk(function or module.tree)
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name.id for t in node.targets)
    ]
    return values[0] if len(values) == 1 else None


# --- logs ---------------------------------------------------------------------------------------------------------


def _logger(desk: Desk) -> None:
    main = desk.main
    found = list(calls(main.tree, "CSVLogger"))
    if logs_rightly(desk):
        return
    if not found:
        if not any(any(calls(module.tree, "CSVLogger")) for module in desk.modules[1:]):
            _add_logger(desk)
        return
    if len(found) > 1:
        problem = "there are several CSVLoggers, and none writes into logs/version_#/ of the version's folder"
        fix = f'let one be CSVLogger(f"{ARTIFACT_TEXT}", name="logs", version=0)'
        desk.problem("log_path", main, found[0].lineno, problem, fix)
        return
    call, wanted = found[0], dict[str, str]()
    if comes_to(main, argument(call, "save_dir", 0)) != ARTIFACT_TEXT:
        wanted["save_dir"] = artifacts(main)
    if comes_to(main, argument(call, "name", 1)) != "logs":
        wanted["name"] = '"logs"'
    if not _whole_number(argument(call, "version", 2)):
        wanted["version"] = "0"
    said = ", ".join(f"{name}={value}" for name, value in wanted.items())
    problem = "the log does not go to logs/version_#/ of the version's folder"
    desk.fixed("log_path", main, call.lineno, problem, f"CSVLogger({said})")
    desk.apply(main, _keywords(main, call, wanted, ("save_dir", "name", "version")))


def _whole_number(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and (node.value is None or type(node.value) is int))


def logs_rightly(desk: Desk) -> bool:
    """Some CSVLogger of the script writes into logs/version_#/."""
    return any(_log_folder(m, c) == f"{ARTIFACT_TEXT}/logs" for m in desk.modules for c in calls(m.tree, "CSVLogger"))


def keeps_settings(desk: Desk) -> bool:
    """hparams.yaml is only written when the script says what to put into it."""
    names = ("save_hyperparameters", "log_hyperparams")
    return any(any(calls(module.tree, *names)) for module in desk.modules)


def _settings_kept(desk: Desk) -> None:
    if keeps_settings(desk) or not logs_rightly(desk):
        return
    for module in desk.modules:
        name = describe(module.text).module_class
        if name is not None and save_hyperparameters(desk, module, name, "hparams.yaml would not be written"):
            return


def save_hyperparameters(desk: Desk, module: Module, name: str, problem: str) -> bool:
    """Adds the call to the LightningModule, unless what it is given is more than plain values."""
    owner = next(n for n in ast.walk(module.tree) if isinstance(n, ast.ClassDef) and n.name == name)
    init = next((n for n in owner.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    given = [v for m in desk.modules for c in calls(m.tree, name) for v in (*c.args, *(k.value for k in c.keywords))]
    plain = all(isinstance(v, ast.Constant | ast.UnaryOp | ast.Name | ast.Attribute | ast.Subscript) for v in given)
    started = (
        [n for n in init.body if isinstance(n, ast.Expr) and "super()" in module.source.segment(n)] if init else []
    )
    if init is None or not started or not plain:
        return False
    desk.fixed("hyperparameters", module, init.lineno, problem, f"self.save_hyperparameters() added to {name}")
    desk.apply(module, [module.source.insert_after(started[0], "self.save_hyperparameters()")])
    return True


def _log_folder(module: Module, call: ast.Call) -> str | None:
    """In which it makes `version_#/`; None when that cannot be told, or the folder would have another name."""
    folder, name_node = comes_to(module, argument(call, "save_dir", 0)), argument(call, "name", 1)
    name = "lightning_logs" if name_node is None else "" if _is(name_node, None) else comes_to(module, name_node)
    if folder is None or name is None or not _whole_number(argument(call, "version", 2)):
        return None
    return f"{folder}/{name}".rstrip("/")


def _add_logger(desk: Desk) -> None:
    main, trainer = desk.main, _trainer(desk)
    name, imports = main.source.import_name(f"{lightning(main)}.loggers", "CSVLogger")
    code = f'{name}({artifacts(main)}, name="logs", version=0)'
    given = keyword(trainer, "logger")
    made = (_list_behind(main, given) if isinstance(given, ast.Name) else None) or given
    behind = _value_behind(main, given) if isinstance(given, ast.Name) else given
    if made is None or _is(made, True, False, None):
        variable, statement = _variable(main, trainer, "logger", code)
        edits = [statement, main.source.set_keyword(trainer, "logger", variable)]
    elif not isinstance(made, ast.List) and not _makes_one(behind):
        problem = "no CSVLogger, and what the Trainer logs with is made elsewhere"
        desk.problem("log_path", main, trainer.lineno, problem, f"add to it: {code}")
        return
    else:
        variable, statement = _variable(main, made, "csv_logger", code)
        if isinstance(made, ast.List):
            edits = [statement, main.source.add_item(made, variable)]
        else:
            edits = [statement, main.source.replace(made, f"[{variable}, {main.source.segment(made)}]")]
    problem = "no CSVLogger: metrics.csv and hparams.yaml would be missing"
    desk.fixed("log_path", main, trainer.lineno, problem, f"logger added: {code}")
    desk.apply(main, [*imports, *edits])


# --- what comes out -----------------------------------------------------------------------------------------------


def writes(desk: Desk, name: str) -> bool:
    """Whether the script itself writes the file into the version's folder, or a ModelCheckpoint does."""
    if any(use.written and use.text == f"{ARTIFACT_TEXT}/{name}" for use in find_uses(desk.modules)):
        return True
    checkpoints = [(module, call) for module in desk.modules for call in calls(module.tree, "ModelCheckpoint")]
    return any(
        comes_to(module, argument(call, "dirpath", 0)) == ARTIFACT_TEXT and _keeps(module, call, name)
        for module, call in checkpoints
    )


def _keeps(module: Module, call: ast.Call, name: str) -> bool:
    if comes_to(module, argument(call, "filename", 1)) == name.removesuffix(".ckpt"):
        kept = argument(call, "save_top_k")
        return kept is None or _is(kept, 1)
    return name == "last.ckpt" and _is(argument(call, "save_last"), True, "link")
