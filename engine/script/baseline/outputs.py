"""Whether a training would leave what is required of it, and nothing that it must not write."""

from __future__ import annotations

import ast
import re

from progtrain.engine.script.baseline.datapaths import ARTIFACT_TEXT
from progtrain.engine.script.baseline.desk import Desk
from progtrain.engine.script.baseline.uses import find_uses
from progtrain.engine.script.baseline.wiring import keeps_settings, logs_rightly, writes
from progtrain.engine.script.nodes import calls


def check_outputs(desk: Desk) -> None:
    spared = _not_required(desk)
    line = next((call.lineno for call in calls(desk.main.tree, "Trainer")), None)
    for name in ("best.ckpt", "last.ckpt"):
        if name not in spared and not writes(desk, name) and not _told(desk, "checkpoint"):
            problem = f"nothing that can be seen writes {name} into {ARTIFACT_TEXT}/"
            fix = (
                f'ModelCheckpoint(dirpath=f"{ARTIFACT_TEXT}", filename="best", save_last=True) among the Trainer\'s '
                f'callbacks does, or torch.save(..., f"{ARTIFACT_TEXT}/{name}")'
            )
            desk.problem("checkpoint", desk.main, line, problem, fix)
    if not logs_rightly(desk) and not _told(desk, "log_path"):
        for name in ("metrics.csv", "hparams.yaml"):
            if name not in spared and not _writes_log(desk, name):
                problem = f"nothing that can be seen writes logs/version_0/{name} into {ARTIFACT_TEXT}/"
                logger = f'CSVLogger(f"{ARTIFACT_TEXT}", name="logs", version=0)'
                fix = f"{logger} as the Trainer's logger does, or {_by_hand(name)}"
                desk.problem("log_path", desk.main, line, problem, fix)
    elif "hparams.yaml" not in spared and not keeps_settings(desk) and logs_rightly(desk):
        problem = "hparams.yaml would not be written: the script does not say which settings it ran with"
        fix = "call self.save_hyperparameters() in the LightningModule's __init__, or logger.log_hyperparams({...})"
        desk.problem("log_path", desk.main, line, problem, fix)
    _forbidden(desk)


def _told(desk: Desk, id: str) -> bool:
    return any(finding.id == id for finding in desk.errors)


def _by_hand(name: str) -> str:
    if name == "metrics.csv":
        return "write it yourself: a row an epoch with epoch, train_loss, val_loss"
    return "write it yourself: a line `name: value` for each setting"


def _not_required(desk: Desk) -> set[str]:
    """What the script itself declares in spec.json."""
    texts = {
        n.value
        for m in desk.modules
        for n in ast.walk(m.tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }
    return texts if "not_required" in texts else set()


def _writes_log(desk: Desk, name: str) -> bool:
    pattern = re.compile(rf"{re.escape(ARTIFACT_TEXT)}/logs/version_(?:\d+|\{{\?\}})/{re.escape(name)}")
    return any(use.written and pattern.fullmatch(use.text) for use in find_uses(desk.modules))


def _forbidden(desk: Desk) -> None:
    for use in find_uses(desk.modules):
        parts = use.text.split("/")
        if use.written and ("infer_samples" in parts or parts[-1] == "eval_score.json"):
            problem = f"the training writes {use.text}, which only the evaluation may"
            fix = "take it out: 03_eval.py writes eval_score.json and infer_samples/"
            desk.problem("evaluation", use.module, use.node.lineno, problem, fix)
