"""What an experienced engineer would call it: fifteen diagnoses, each with a strength and its evidence.

A strength is a straight line between two thresholds: 0 at the value where nobody would say so, 1 where nobody
would doubt it. Each rule's docstring says where its thresholds come from; what is not cited is measured on the
examples and on planted curves (see the tests). Rules read relative numbers only, so that they hold for any loss.
"""

from __future__ import annotations

from collections.abc import Callable

from progtrain.advisor.interface import Finding
from progtrain.engine.analysis.measure.measurements import Measurements
from progtrain.engine.analysis.vocabulary import DIAGNOSES
from progtrain.engine.values import ramp

#: findings below this are not told, unless nothing else is
TOLD = 0.3

_Rule = Callable[[Measurements], tuple[float, str, tuple[str, ...]]]


def diagnose(m: Measurements, known: frozenset[str]) -> tuple[Finding, ...]:
    """The strongest first. `known` are the keys of the facts: evidence that is no fact is not named.

    "healthy" stands alone: it is told only when nothing else reaches `TOLD`.
    """
    found = []
    for name, rule in _RULES.items():
        strength, text, evidence = rule(m)
        if strength >= TOLD:
            keys = tuple(key for key in evidence if key in known)
            found.append(Finding(id=name, strength=round(min(1.0, strength), 3), text=_cite(text, keys), evidence=keys))
    if not found:
        return (_healthy(m, known),)
    order = list(DIAGNOSES)
    return tuple(sorted(found, key=lambda finding: (-finding.strength, order.index(finding.id))))


def _cite(text: str, keys: tuple[str, ...]) -> str:
    """`text`, then the evidence by its keys, which whoever shows it fills in."""
    shown = ", ".join(f"{key.replace('_', ' ')} @{key}" for key in keys)
    return f"{text} ({shown})." if shown else f"{text}."


def _healthy(m: Measurements, known: frozenset[str]) -> Finding:
    """Half sure where there was no curve to look at: nothing stands out, but nothing was seen either."""
    keys = tuple(key for key in ("value", "gap", "rise", "best_epoch", "epochs") if key in known)
    strength = 0.7 if m.shape.epochs >= 3 else 0.5
    return Finding(id="healthy", strength=strength, text=_cite("Nothing stands out", keys), evidence=keys)


def divergence(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """A loss that ends not finite is certain. Values that are not finite in between, with a finite end, were
    survived: less. A final training loss at twice its first value has lost all that initialisation gave."""
    shape = m.shape
    evidence = ("nonfinite", "total_drop", "final_train_loss", "learning_rate")
    if shape.ends_nonfinite or (shape.nonfinite and m.value is None):
        return 1.0, "The loss is not finite at the end", evidence
    exploded = ramp(-(shape.total_drop or 0.0), 0.2, 1.0)
    survived = 0.6 if shape.nonfinite else 0.0
    text = "The loss was not finite in between" if survived > exploded else "The loss ends above its start"
    return max(exploded, survived), text, evidence


def learning_rate_too_high(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """With steps too large for the curvature, the loss jumps back up or stays high instead of falling (Y. Bengio:
    Practical recommendations for gradient-based training of deep architectures, 2012, 3.1.1: the largest rate that
    does not make the training criterion diverge, and divide when it does). A training loss that rises in 30 % of
    the epochs while it fell by less than half in all is the clear sign; noise of single steps alone is not. A version
    that got worse by a change of the rate and now does no better than a constant guess needs no further sign, nor does
    one whose rate is ten times the usual and that has learned nothing: its units are dead. A rate far below the usual
    one is not too high, whatever jumps; one many times it is too high even where the loss does not show it."""
    shape = m.shape
    if m.verdict_previous == "worse" and "learning_rate" in m.last_action and m.skill is not None:
        collapsed = 1.0 - ramp(m.skill, 0.05, 0.3)
        if collapsed >= TOLD:
            evidence = ("last_action", "value", "previous_value", "learning_rate")
            return collapsed, "Steps are too large: since the last change nothing is learned any more", evidence
    rises = ramp(shape.rises, 0.25, 0.5)
    not_learned = 1.0 - ramp(shape.total_drop, 0.3, 0.9)
    jumps = ramp(shape.roughness, *((0.3, 0.9) if shape.stepwise else (0.1, 0.4)))
    backwards = ramp(-(shape.first_drop if shape.first_drop is not None else 0.0), 0.05, 0.5)
    ends_high = ramp(shape.end_over_best, 1.3, 2.5)
    strength = max(
        min(1.0, 0.55 * rises + 0.55 * jumps) * max(not_learned, 0.5 * ends_high),
        backwards * (0.4 + 0.6 * not_learned),
        0.8 * min(rises, ends_high),
    )
    strength *= 1.0 - ramp(-m.rate_away, 0.5, 1.5)
    dead = ramp(m.rate_away, 0.3, 1.0) * (1.0 - ramp(m.skill, 0.1, 0.4)) if m.skill is not None else 0.0
    far = ramp(m.rate_away, 0.6, 1.3) * (1.0 - 0.5 * ramp(m.skill, 0.9, 0.98)) if shape.train_name else 0.0
    # a loss that goes on falling at that rate says that it serves
    if shape.best_epoch and shape.best_epoch > 0.8 * shape.epochs:
        far *= 1.0 - 0.7 * ramp(shape.late_slope, 0.02, 0.1)
    if max(dead, far) > strength:
        text = "nothing was learned with them" if dead >= far else "many times the usual size"
        return max(dead, far), f"Steps are too large: {text}", ("learning_rate", "total_drop", "value")
    if not shape.train_name:
        strength = 0.0
    evidence = ("roughness", "first_drop", "total_drop", "learning_rate")
    return strength, "Steps are too large: the training loss jumps instead of falling", evidence


def learning_rate_too_low(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """The loss falls evenly and is nowhere near its floor when training ends: the signature of steps that are too
    small rather than of too few epochs, which shows a curve that has bent and still gains a little. Even: at most
    one epoch in ten rises. Not near: it lost less than half of its first value. A rate far below the usual one that
    learned little, or still gains steeply at the end, needs no even fall, and one far above it is not too low."""
    shape = m.shape
    falls = ramp(shape.train_late_slope, 0.005, 0.06)
    little = 1.0 - ramp(shape.total_drop, 0.35, 0.85)
    slow_start = 1.0 - ramp(shape.first_drop, 0.03, 0.3)
    even = 1.0 - ramp(shape.rises, 0.1, 0.35)
    strength = min(1.0, falls * (0.55 * little + 0.6 * slow_start * little)) * even
    # the loss may lie so high at the start that losing half of it is little: what a constant guess loses counts too
    far = ramp(-m.rate_away, 0.5, 1.3) * (1.0 - ramp(m.skill, 0.3, 0.8)) if m.skill is not None else 0.0
    # and a rate that small which still gains steeply at the end is the reason for the few epochs
    unfinished = 0.9 * ramp(-m.rate_away, 0.7, 1.2) * ramp(shape.train_late_slope, 0.03, 0.15)
    strength = max(strength, unfinished, far * (1.0 - ramp(shape.gap, 0.2, 0.5))) * (1.0 - ramp(m.rate_away, 0.5, 1.2))
    evidence = ("total_drop", "late_slope", "first_drop", "learning_rate")
    return strength, "Steps are too small: the loss still falls evenly when training ends", evidence


def too_few_epochs(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """The best epoch is among the last tenth and the validation loss still falls by 1 % (weak) to 10 % (certain)
    over the last quarter: early stopping would not have stopped (L. Prechelt: Early stopping - but when?, 1998)."""
    shape = m.shape
    if not shape.best_epoch or not shape.epochs:
        return 0.0, "", ()
    late = ramp(shape.best_epoch / shape.epochs, 0.8, 0.95)
    falls = ramp(shape.late_slope if shape.val_name else shape.train_late_slope, 0.005, 0.1)
    strength = late * (0.25 + 0.75 * falls) if falls > 0 else 0.0
    # an even fall from the start asks for larger steps before more of them
    strength *= 1.0 - 0.45 * learning_rate_too_low(m)[0]
    # slow for a reason that has a name: the reason first
    strength *= 1.0 - 0.6 * max(unscaled_inputs(m)[0], class_imbalance(m)[0], over_regularised(m), too_narrow(m))
    if shape.epochs <= 2:
        # two epochs or one: there is no slope to see, and it is too few by any measure
        strength = 0.6
    evidence = ("best_epoch", "epochs", "late_slope", "val_loss")
    return strength, "Validation still improves when training ends", evidence


def overfitting(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """Validation gets worse while training goes on improving (I. Goodfellow et al.: Deep Learning, 2016, ch. 5.2
    and 7.8). A rise of 3 % may be noise of the epochs, 30 % is none. A gap of a fifth at the best epoch is usual
    with few samples and counts for less; near 0.7 the training loss is a third of the validation loss."""
    shape = m.shape
    improving = shape.train_loss is None or (
        shape.final_train_loss is not None and shape.final_train_loss <= shape.train_loss * 1.02
    )
    rise = ramp(shape.rise, 0.03, 0.3) if improving else 0.0
    # what comes after the best epoch costs little where its weights are kept
    rise *= 0.6 if m.keeps_best else 1.0
    # where next to nothing is left to lose, small losses differ by large factors
    gap = ramp(shape.gap, 0.2, 0.7) * (1.0 - ramp(m.skill, 0.85, 0.93))
    evidence = ("rise", "gap", "best_epoch", "epochs", "final_val_loss", "final_train_loss")
    # steps that are too large, or too noisy, end beside the best epoch's minimum: the reason first
    reason = max(gradient_noise(m), ramp(m.rate_away, 0.7, 1.2))
    return (
        max(0.3 * rise + 0.7 * rise**0.5 if rise else 0.0, 0.75 * gap) * (1.0 - 0.4 * reason),
        ("Training goes on improving while validation does not follow"),
        evidence,
    )


def underfitting(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """The model takes away little of what a constant guess loses (skill), and training is no better than
    validation, so that it is not memory that fails. Skill below 0.2 is certain, above 0.6 no longer a complaint,
    and training data that is fitted none whatever validation says.
    Without a per-sample file: the training loss fell by less than 30 %."""
    shape = m.shape
    no_gap = 1.0 - ramp(shape.gap, 0.1, 0.4)
    if m.skill is not None:
        poor = 1.0 - ramp(m.skill, 0.2, 0.6)
    elif shape.total_drop is not None:
        poor = 0.8 * (1.0 - ramp(shape.total_drop, 0.1, 0.45))
    else:
        return 0.0, "", ()
    evidence = ("train_loss", "val_loss", "gap", "value", "chance", "total_drop")
    # inputs of very different size, and steps that are too small, are reasons for it, and come first
    reason = max(unscaled_inputs(m)[0], learning_rate_too_low(m)[0])
    strength = poor * no_gap * (1.0 - m.fits_training) * (1.0 - 0.3 * reason)
    held_back = 0.95 * over_regularised(m)
    if held_back > strength:
        return held_back, "Regularisation keeps even the training data from being fitted", evidence
    return strength, "Even the training data is not fitted", evidence


def over_regularised(m: Measurements) -> float:
    """How surely some regularisation holds the training back."""
    return max(excess(m, key) for key in ("dropout", "weight_decay", "label_smoothing"))


def excess(m: Measurements, key: str) -> float:
    """How surely this setting holds the training back, 0 to 1. Dropout of a half is the most that is usual
    (N. Srivastava et al.: Dropout, 2014); at eight tenths it rules the training. So does decay of 0.1 where it goes
    through the gradient; AdamW shrinks weights by rate times decay a step (I. Loshchilov, F. Hutter: Decoupled weight
    decay regularization, 2019), which counts once they would be gone by the end. Less where the result is good all
    the same, unless the training loss, which regularisation weighs on, is far above the validation loss; and less where
    it is far below."""
    value = m.number(key)
    if value is None:
        return 0.0
    most = ramp(value, *{"dropout": (0.5, 0.8), "weight_decay": (0.03, 0.1), "label_smoothing": (0.2, 0.4)}[key])
    if key == "weight_decay" and "adamw" in (m.optimizer or "").casefold():
        most = ramp((m.number("learning_rate") or 0.0) * value * (m.steps or 0.0), 1.0, 3.0)
    gap = m.shape.gap or 0.0
    seen = max(1.0 - ramp(m.skill, 0.85, 0.95), 0.9 * ramp(-gap, 0.3, 1.5))
    return most * seen * (1.0 - ramp(gap, 0.3, 0.6))


def too_narrow(m: Measurements) -> float:
    """A layer of four units or fewer passes on little, whatever the data; of sixteen, it depends on them. Less where
    the result is good all the same."""
    width = m.number("hidden_size")
    return (1.0 - ramp(width, 4, 16)) * (1.0 - ramp(m.skill, 0.8, 0.95)) if width is not None else 0.0


def too_little_capacity(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """Training loss has levelled off (less than 2 % in the last quarter) although steps were well sized: the first
    epochs did learn. What stays unexplained is then the model's form, not its training. Skill above 0.85 leaves
    nothing to complain about."""
    shape = m.shape
    narrow = 0.95 * too_narrow(m) * (1.0 - ramp(shape.gap, 0.3, 0.6))
    if narrow >= TOLD:
        return narrow, "A layer is so narrow that little passes through it", ("hidden_size", "train_loss", "value")
    if shape.train_late_slope is None or shape.epochs < 5:
        return 0.0, "", ()
    flat = 1.0 - ramp(abs(shape.train_late_slope), 0.015, 0.06)
    learned = ramp(shape.total_drop, 0.1, 0.3)
    high = 1.0 - ramp(m.skill, 0.4, 0.85) if m.skill is not None else 0.7 * (1.0 - ramp(shape.total_drop, 0.4, 0.8))
    no_gap = 1.0 - ramp(shape.gap, 0.1, 0.35)
    steady = 1.0 - ramp(shape.rises, 0.3, 0.6) * ramp(shape.roughness, 0.1, 0.5)
    evidence = ("train_loss", "total_drop", "gap", "parameters", "hidden_size")
    poor = high * (1.0 - m.fits_training) * (1.0 - 0.3 * unscaled_inputs(m)[0])
    return flat * learned * poor * no_gap * steady, "Training loss levels off high", evidence


def too_much_capacity(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """The best epoch comes in the first third, training loss then goes to nearly nothing and the gap is large: the
    samples are memorised at once. More than ten parameters a sample is no fault by itself (C. Zhang et al.:
    Understanding deep learning requires rethinking generalization, 2017), but makes it likelier here."""
    shape = m.shape
    if not shape.best_epoch or shape.epochs < 5:
        return 0.0, "", ()
    early = 1.0 - ramp(shape.best_epoch / shape.epochs, 0.2, 0.5)
    memorised = ramp(shape.total_drop, 0.8, 0.97)
    apart = max(ramp(shape.gap, 0.15, 0.5), ramp(shape.rise, 0.1, 0.5))
    samples, parameters = m.train_samples, m.parameters
    likely = 0.8 if not samples or not parameters else 0.6 + 0.4 * ramp(parameters / samples, 1.0, 30.0)
    evidence = ("best_epoch", "epochs", "final_train_loss", "gap", "parameters", "train_samples")
    return early * memorised * apart * likely, "The training data is memorised within a few epochs", evidence


def noisy_gradients(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """The loss of single steps spreads by more than half of its mean around a falling trend, and batches are small
    (at 16 and below fully, at 128 no more): the spread of a batch mean falls with the root of the batch size
    (S. McCandlish et al.: An empirical model of large-batch training, 2018)."""
    shape = m.shape
    if shape.roughness is None:
        return 0.0, "", ()
    rough = ramp(shape.roughness if shape.stepwise else 4 * shape.roughness, 0.35, 0.9)
    batch = m.number("batch_size")
    small = 0.7 if batch is None else 1.0 - 0.85 * ramp(batch, 16, 128)
    learns = ramp(shape.total_drop, 0.0, 0.3)
    # near zero the mean is tiny and any spread looks large beside it
    near_zero = 0.8 * ramp(m.skill, 0.8, 0.95)
    evidence = ("roughness", "batch_size", "learning_rate")
    strength = rough * small * learns * (1 - near_zero) * (1 - 0.3 * unscaled_inputs(m)[0])
    return max(strength, 0.9 * gradient_noise(m)), "The loss jumps from step to step", evidence


def gradient_noise(m: Measurements) -> float:
    """The noise of the gradients grows with rate over batch size (S. Smith, Q. Le: A Bayesian perspective on
    generalization and stochastic gradient descent, 2018): from 20 to 120 times that of the usual rate with batches
    of 32. No complaint where the result is good all the same."""
    rate, batch = m.number("learning_rate"), m.number("batch_size")
    if not rate or not batch or m.rate_away > 1.3:
        return 0.0  # far too large a rate has a name of its own
    times = (rate / m.usual_rate) * (32 / batch)
    return ramp(times, 20, 120) * (1.0 - ramp(m.skill, 0.85, 0.95))


def plateau(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """The validation loss moves by less than 2 % over the last quarter, its best epoch lies in the first three
    quarters, and it did not get worse either (that is overfitting)."""
    shape = m.shape
    if not shape.best_epoch or shape.epochs < 5 or shape.late_slope is None:
        return 0.0, "", ()
    flat = 1.0 - ramp(abs(shape.late_slope), 0.01, 0.03)
    early = 1.0 - ramp(shape.best_epoch / shape.epochs, 0.5, 0.85)
    level = 1.0 - ramp(shape.rise, 0.02, 0.08)
    evidence = ("best_epoch", "epochs", "late_slope", "val_loss")
    # a reason that has a name comes first, and so does that next to nothing was learned
    nothing = 0.0 if m.skill is None else 1.0 - ramp(m.skill, 0.1, 0.3)
    reason = max(unscaled_inputs(m)[0], over_regularised(m), too_narrow(m), nothing)
    return flat * early * level * (1.0 - 0.4 * reason), "Improvement stopped long before training ended", evidence


def schedule_missing(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """A constant rate keeps the weights circling the minimum at a distance that grows with the rate; letting it
    fall closes in (H. Robbins, S. Monro, 1951; I. Loshchilov, F. Hutter: SGDR, 2017). Seen as a validation loss
    that wobbles around its trend by 1 % to 8 % in the last third, without a trend to speak of."""
    if m.optimizer is None or (m.schedule or "none") != "none" or m.shape.epochs < 5:
        return 0.0, "", ()
    wobble = ramp(m.shape.wobble, 0.008, 0.06)
    settled = 1.0 - ramp(m.shape.late_slope, 0.03, 0.15)
    learned = ramp(m.shape.total_drop, 0.1, 0.4)
    evidence = ("schedule", "late_slope", "best_epoch", "learning_rate")
    return wobble * settled * learned * 0.85, "The rate is constant and the loss circles its minimum", evidence


def class_imbalance(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """Classes differ by a factor of 1.5 (weak) to 5, and the class that fails most is one of the small ones, at
    least 10 points below the best (N. Japkowicz, S. Stephen: The class imbalance problem, 2002: imbalance alone
    does no harm where classes are easy to tell apart)."""
    f = m.failures
    uneven = ramp(f.imbalance, 1.3, 4.0)
    spread = ramp(f.class_spread, 0.05, 0.35)
    rare = 1.0 - ramp(f.worst_class_share, 0.6, 1.0) if f.worst_class_share is not None else 0.0
    evidence = ("imbalance", "worst_class", "worst_class_recall", "class_spread")
    # a model that has learned little yet tells no class well
    learned = 1.0 if m.skill is None else 0.5 + 0.5 * ramp(m.skill, 0.3, 0.6)
    return uneven**0.5 * spread**0.5 * rare * learned, "Rare classes are missed", evidence


def unscaled_inputs(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """Gradient descent is as slow as the worst-scaled direction (Y. LeCun et al.: Efficient BackProp, 1998, 4.3:
    shift inputs to mean zero, scale to equal variance). Spreads that differ tenfold start to matter, a hundredfold
    rules the gradient; a mean five spreads from zero acts like a large bias. Less where the script says that it
    puts inputs on one scale."""
    scale = ramp(m.input_scale, 5.0, 60.0)
    offset = 0.8 * ramp(m.input_offset, 3.0, 12.0)
    evidence = ("input_scale", "input_offset")
    strength = max(scale, offset) * (0.25 if m.standardised else 1.0)
    return strength, "Input features are of very different size or sit far from zero", evidence


def label_noise(m: Measurements) -> tuple[float, str, tuple[str, ...]]:
    """Of the tenth with the highest loss, many are wrong although the model was sure (C. Northcutt et al.:
    Confident learning, 2021), while it is right almost everywhere else. In regression: the worst tenth of the
    samples carries more than half of the loss, where squares of normal errors put about 0.44."""
    f = m.failures
    if f.wrong is not None:
        sure = ramp(f.confident_wrong, 0.2, 0.7)
        good = ramp(1 - f.wrong / f.samples, 0.6, 0.85) if f.samples else 0.0
        # of a handful of mistakes some are always sure
        good *= ramp(f.wrong, 2, 10)
        evidence: tuple[str, ...] = ("confident_wrong", "wrong", "val_samples")
        return sure * good, "The model is sure of many samples that are labelled otherwise", evidence
    if m.is_classification is False:
        evidence = ("tail_loss",)
        return ramp(f.tail_loss, 0.5, 0.8), "A few samples carry most of the loss", evidence
    return 0.0, "", ()


_RULES: dict[str, _Rule] = {
    "divergence": divergence,
    "learning_rate_too_high": learning_rate_too_high,
    "learning_rate_too_low": learning_rate_too_low,
    "too_few_epochs": too_few_epochs,
    "overfitting": overfitting,
    "underfitting": underfitting,
    "too_little_capacity": too_little_capacity,
    "too_much_capacity": too_much_capacity,
    "noisy_gradients": noisy_gradients,
    "plateau": plateau,
    "schedule_missing": schedule_missing,
    "class_imbalance": class_imbalance,
    "unscaled_inputs": unscaled_inputs,
    "label_noise": label_noise,
}
