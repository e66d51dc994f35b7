"""What a script gives to transformers' Trainer, evaluated in the place of `Trainer.train`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .batches import number_of
from .common import EvalError
from .outputs import Outputs
from .steps import Steps
from .weights import put_weights


def take_transformers(steps: Steps, checkpoint: Path, split: str, trainer: Any, *_: Any, **__: Any) -> Any:
    """In the place of transformers' `Trainer.train`. Returns the model."""
    if split == "train" and trainer.train_dataset is not None:
        trainer.eval_dataset = trainer.train_dataset
    elif trainer.eval_dataset is None or split != "valid":
        raise EvalError(f"the script has no data of the split {split!r}: give Trainer an eval_dataset")
    put_weights(trainer.model, checkpoint)
    trainer.callback_handler.callbacks = []
    outputs, real = Outputs(trainer.model), trainer.prediction_step
    # such models are asked at each place for the next one
    shift = bool(re.search(r"CausalLM|LMHead", type(trainer.model).__name__))

    def told(model: Any, inputs: Any) -> tuple[Any, dict[str, Any]]:
        outputs.calls.clear()
        answer = real(model, inputs, False)
        loss, logits, labels = answer
        logits, labels = (part[0] if isinstance(part, (tuple, list)) and part else part for part in (logits, labels))
        if shift and logits is not None and labels is not None:
            logits, labels = logits[:, :-1], labels[:, 1:]
        return answer, {"loss": loss, "logits": logits, "labels": labels}

    def whole(model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
        answer, said = told(model, inputs)
        steps.batch(inputs, said, outputs, 0)
        return answer

    try:
        trainer.prediction_step = whole
        logged = trainer.evaluate()
        aside = r"_(?:runtime|per_second|time|mem\w*)$|^epoch$"
        steps.keep_logged({name: number_of(value) for name, value in logged.items() if not re.search(aside, name)})
        steps.draw()
        for batch in steps.few(trainer.get_eval_dataloader()):
            ready = trainer._prepare_inputs(batch)
            steps.one_by_one(ready, 0, outputs, lambda one, _: told(trainer.model, one)[1])
    finally:
        outputs.remove()
    return trainer.model
