"""The words in which facts, diagnoses and candidates are told.

They are shared by the code that works them out, the advisor's briefing, and the recipe that trains the
bundled model, which has learned exactly these. Keys are what a model writes as `@key`; the engine fills in
the value.
"""

from __future__ import annotations

from progtrain.engine.script.action.catalogue import recipes

#: Fact keys: what each means, in the words of the review's fact list.
FACTS: dict[str, str] = {
    # where we are
    "version": "this version",
    "previous": "the version before it",
    "best": "the best version so far, this one included",
    "versions_left": "versions that the rules still allow",
    "task": "the kind of task",
    # the primary metric
    "metric": "the primary metric",
    "value": "its value in this version",
    "previous_value": "its value in the previous version",
    "best_value": "its value in the best version so far",
    "delta_previous": "change of the primary metric against the previous version",
    "delta_best": "change of the primary metric against the best earlier version",
    "verdict_previous": "paired bootstrap against the previous version",
    "verdict_best": "paired bootstrap against the best earlier version",
    "noise_sd": "how far runs of one script with other seeds lie apart, standard deviation",
    "noise_runs": "runs that tell how far seeds lie apart",
    "delta_low": "lower end of the 95 % interval of delta_previous",
    "delta_high": "upper end of the 95 % interval of delta_previous",
    "last_action": "the change that made this version",
    # curves
    "train_loss": "training loss in the best epoch",
    "val_loss": "validation loss in the best epoch",
    "final_train_loss": "training loss in the last epoch",
    "final_val_loss": "validation loss in the last epoch",
    "gap": "validation loss minus training loss in the best epoch, over the validation loss",
    "rise": "how far the validation loss rose after its best epoch, over its best value",
    "best_epoch": "epoch with the lowest validation loss, counted from 1",
    "epochs": "epochs trained",
    "epoch_share": "best epoch over epochs trained",
    "late_slope": "relative fall of the validation loss over the last quarter of training",
    "first_drop": "relative fall of the training loss over the first epoch",
    "total_drop": "relative fall of the training loss over the whole training",
    "roughness": "spread of the step-to-step changes of the training loss, over its mean",
    "nonfinite": "logged losses that were not finite",
    # settings that matter for the diagnosis
    "learning_rate": "the learning rate",
    "batch_size": "the batch size",
    "weight_decay": "the weight decay",
    "dropout": "the dropout rate",
    "hidden_size": "the width of the hidden layers",
    "optimizer": "the optimizer",
    "schedule": "the learning-rate schedule",
    "parameters": "trainable parameters of the model",
    # data
    "train_samples": "training samples",
    "val_samples": "validation samples",
    "imbalance": "largest class over smallest class among the validation samples",
    "input_scale": "largest over smallest standard deviation of an input feature",
    "input_offset": "largest mean of an input feature, in standard deviations",
    "chance": "what a constant guess reaches in the primary metric",
    # where it fails
    "wrong": "validation samples with a wrong outcome",
    "worst_class": "the class with the lowest share of right outcomes",
    "worst_class_recall": "the share of right outcomes in that class",
    "class_spread": "best class recall minus worst class recall",
    "confused_pair": "the most frequent confusion, truth → prediction",
    "confused_count": "how often it happens",
    "confident_wrong": "share of the tenth with the highest loss that is wrong although the model was sure",
    "flipped_right": "samples that were wrong in the previous version and are right now",
    "flipped_wrong": "samples that were right in the previous version and are wrong now",
    "tail_loss": "share of the whole validation loss in the worst tenth of the samples",
    "latency": "median time for one sample, in milliseconds",
}

#: Diagnoses: what an experienced engineer would call it, and in one line why it matters.
DIAGNOSES: dict[str, str] = {
    "divergence": "the loss is not finite or explodes: nothing was learned",
    "learning_rate_too_high": "steps are too large: the loss jumps or stays above where it should be",
    "learning_rate_too_low": "steps are too small: the loss still falls steadily when training ends",
    "too_few_epochs": "validation still improves in the last epochs",
    "overfitting": "training goes on improving while validation gets worse",
    "underfitting": "even the training data is not fitted",
    "too_little_capacity": "training loss levels off high although the steps are well sized",
    "too_much_capacity": "the model fits the training data at once and generalises badly",
    "noisy_gradients": "small batches make the loss jump from step to step",
    "plateau": "improvement stopped long before training ended",
    "schedule_missing": "the learning rate is constant to the end, and the loss circles its minimum",
    "class_imbalance": "rare classes are missed",
    "unscaled_inputs": "input features differ by orders of magnitude or sit far from zero",
    "label_noise": "the model is sure of many samples that are labelled otherwise",
    "healthy": "nothing stands out",
}

#: Candidate ids that are always the same words: what they do, for prompts and help. `undo_v002` and
#: `back_to_v002` come with a version in their name.
CANDIDATES: dict[str, str] = {
    "learning_rate_down": "lower the learning rate",
    "learning_rate_up": "raise the learning rate",
    "epochs_up": "train longer",
    "epochs_down": "train shorter",
    "batch_size_up": "larger batches",
    "batch_size_down": "smaller batches",
    "hidden_size_up": "wider hidden layers",
    "hidden_size_down": "narrower hidden layers",
    "layers_up": "more layers",
    "layers_down": "fewer layers",
    "dropout_up": "more dropout",
    "dropout_down": "less dropout",
    "weight_decay_up": "more weight decay",
    "weight_decay_down": "less weight decay",
    "label_smoothing_up": "more label smoothing",
    "label_smoothing_down": "less label smoothing",
    "momentum_up": "more momentum",
    "warmup_up": "a longer warm-up",
    "patience_up": "more patience before stopping early",
    "gradient_clip_down": "clip gradients harder",
    **{recipe.candidate_id: recipe.title for recipe in recipes()},
}

#: Bucket words of facts: word and upper bound (exclusive), the last without one. Those of `learning_rate`
#: are for Adam and its kin; for plain SGD each bound is thirty times higher.
BUCKETS: dict[str, tuple[tuple[str, float | None], ...]] = {
    "versions_left": (("none", 1), ("few", 3), ("many", None)),
    "gap": (("none", 0.05), ("small", 0.15), ("moderate", 0.35), ("large", None)),
    "rise": (("none", 0.02), ("small", 0.1), ("moderate", 0.3), ("large", None)),
    "epoch_share": (("early", 0.5), ("middle", 0.85), ("late", None)),
    "late_slope": (("rising", -0.01), ("flat", 0.01), ("slow", 0.03), ("steady", 0.1), ("steep", None)),
    "first_drop": (("rising", 0.0), ("tiny", 0.05), ("moderate", 0.5), ("large", None)),
    "total_drop": (("none", 0.1), ("small", 0.4), ("moderate", 0.8), ("large", None)),
    "roughness": (("smooth", 0.2), ("moderate", 0.5), ("rough", None)),
    "nonfinite": (("none", 1), ("some", None)),
    "learning_rate": (("very small", 3e-5), ("small", 3e-4), ("usual", 5e-3), ("large", 5e-2), ("very large", None)),
    "batch_size": (("small", 17), ("usual", 129), ("large", None)),
    "weight_decay": (("none", 1e-12), ("small", 1e-3), ("usual", 0.051), ("large", None)),
    "dropout": (("none", 1e-12), ("small", 0.2), ("usual", 0.501), ("large", None)),
    "imbalance": (("balanced", 1.5), ("mild", 3.0), ("strong", 10.0), ("extreme", None)),
    "input_scale": (("even", 3.0), ("uneven", 30.0), ("very uneven", None)),
    "input_offset": (("centred", 1.0), ("shifted", 5.0), ("far", None)),
    "worst_class_recall": (("low", 0.5), ("middling", 0.8), ("high", None)),
    "class_spread": (("small", 0.1), ("moderate", 0.3), ("large", None)),
    "confident_wrong": (("few", 0.1), ("some", 0.3), ("many", None)),
    "tail_loss": (("even", 0.3), ("uneven", 0.6), ("concentrated", None)),
    "latency": (("fast", 10.0), ("moderate", 100.0), ("slow", None)),
}

#: Bucket words of facts that are not cut by a plain bound. Changes of the primary metric: by its direction.
#: `wrong`, `flipped_right`, `flipped_wrong`: by their share of the samples (0, below 2 %, below 10 %).
#: `parameters`: below, within or beyond a hundred times the training samples. `best_epoch`: as `epoch_share`.
RELATIVE_BUCKETS: dict[str, tuple[str, ...]] = {
    "delta_previous": ("improved", "worsened", "unchanged"),
    "delta_best": ("improved", "worsened", "unchanged"),
    "wrong": ("none", "few", "some", "many"),
    "flipped_right": ("none", "few", "some", "many"),
    "flipped_wrong": ("none", "few", "some", "many"),
    "parameters": ("few", "many", "very many"),
    "best_epoch": ("early", "middle", "late"),
}


def bucket(key: str, value: float) -> str | None:
    """The word for a value of a fact; None where there is none."""
    for word, bound in BUCKETS.get(key, ()):
        if bound is None or value < bound:
            return word
    return None
