"""Each metric that the evaluation works out is torchmetrics' on the same outputs, for every kind of task."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
import torchmetrics.functional as tm
import torchmetrics.functional.classification as classes
import torchmetrics.functional.segmentation as masks
import torchmetrics.functional.text as texts
import torchmetrics.segmentation
from torch import Tensor

from progtrain.engine import metrics
from progtrain.engine.templates.progtrain_eval.judge import Judge
from progtrain.engine.templates.progtrain_eval.names import MEASURED, SPELLINGS, canonical, taken_apart
from progtrain.engine.templates.progtrain_eval.seen import Seen

pytestmark = pytest.mark.filterwarnings("ignore")
Expected = Mapping[str, Callable[..., Any]]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).double()


def picked(top: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.randint(0, top, shape, generator=torch.Generator().manual_seed(seed))


def of_classes(**task: Any) -> Expected:
    """Those that torchmetrics has for every kind of classes."""

    def of(function: Any, average: str = "macro") -> Callable[..., Any]:
        return lambda said, truth: function(said, truth, average=average, **task)

    return {
        "accuracy": of(tm.accuracy, "micro"),
        "balanced_accuracy": of(tm.accuracy),
        "f1": of(tm.f1_score),
        "micro_f1": of(tm.f1_score, "micro"),
        "weighted_f1": of(tm.f1_score, "weighted"),
        "precision": of(tm.precision),
        "weighted_precision": of(tm.precision, "weighted"),
        "recall": of(tm.recall),
        "specificity": of(tm.specificity),
        "jaccard_index": of(tm.jaccard_index),
        "mcc": lambda said, truth: tm.matthews_corrcoef(said, truth, **task),
        "hamming_distance": of(tm.hamming_distance),
        "auroc": of(tm.auroc),
        "average_precision": of(tm.average_precision),
    }


def plain_loss(said: Tensor, truth: Tensor) -> Tensor:
    return -said.log()[range(len(truth)), truth].mean()


FOUR: dict[str, Any] = {"task": "multiclass", "num_classes": 4}
MULTICLASS: Expected = {
    **of_classes(**FOUR),
    "top2_accuracy": lambda p, t: tm.accuracy(p, t, top_k=2, average="micro", **FOUR),
    "cohen_kappa": lambda p, t: tm.cohen_kappa(p, t, **FOUR),
    "calibration_error": lambda p, t: tm.calibration_error(p, t, **FOUR),
    "negative_predictive_value": lambda p, t: classes.multiclass_negative_predictive_value(p, t, 4),
    "cross_entropy": plain_loss,
    "nll": plain_loss,
    "perplexity": lambda p, t: plain_loss(p, t).exp(),
}
BINARY: Expected = {
    **of_classes(task="binary"),
    # the mean of both classes' recall, as scikit-learn's is
    "balanced_accuracy": lambda p, t: tm.recall((p > 0.5).long(), t, task="multiclass", num_classes=2, average="macro"),
    "bce": lambda p, t: torch.nn.functional.binary_cross_entropy(p, t.double()),
}
CLASS_ONE: Expected = {
    "binary_f1": lambda p, t: tm.f1_score(p, t, task="binary"),
    "val_f1_binary": lambda p, t: tm.f1_score(p, t, task="binary"),
    "binary_precision": lambda p, t: tm.precision(p, t, task="binary"),
    "BinaryRecall": lambda p, t: tm.recall(p, t, task="binary"),
}
TWO: dict[str, Any] = {"task": "multiclass", "num_classes": 2}
TWO_CLASSES: Expected = {
    **{name: lambda p, t, of=of: of(p.argmax(1), t) for name, of in CLASS_ONE.items()},
    "f1": lambda p, t: tm.f1_score(p, t, average="macro", **TWO),
}
MULTILABEL: Expected = {
    **of_classes(task="multilabel", num_labels=4),
    "exact_match": lambda p, t: classes.multilabel_exact_match(p, t, 4),
    "ranking_loss": lambda p, t: classes.multilabel_ranking_loss(p, t, 4),
    "coverage_error": lambda p, t: classes.multilabel_coverage_error(p, t, 4),
    "ranking_average_precision": lambda p, t: classes.multilabel_ranking_average_precision(p, t, 4),
    "bce": BINARY["bce"],
}
NUMBERS: Expected = {
    "mae": tm.mean_absolute_error,
    "mse": tm.mean_squared_error,
    "rmse": lambda p, t: tm.mean_squared_error(p, t, squared=False),
    "msle": tm.mean_squared_log_error,
    "mape": tm.mean_absolute_percentage_error,
    "smape": tm.symmetric_mean_absolute_percentage_error,
    "wmape": tm.weighted_mean_absolute_percentage_error,
    "r2": tm.r2_score,
    "explained_variance": tm.explained_variance,
    "pearson": lambda p, t: tm.pearson_corrcoef(p, t).mean(),
    "spearman": lambda p, t: tm.spearman_corrcoef(p, t).mean(),
    "kendall_rank_corrcoef": lambda p, t: tm.kendall_rank_corrcoef(p, t).mean(),
    "concordance_corrcoef": lambda p, t: tm.concordance_corrcoef(p, t).mean(),
    "log_cosh_error": tm.log_cosh_error,
    "tweedie_deviance_score": tm.tweedie_deviance_score,
    "rse": tm.relative_squared_error,
    "nrmse": tm.normalized_root_mean_squared_error,
}
COLUMNS: Expected = {
    **{name: NUMBERS[name] for name in ("mae", "rmse", "mape", "r2", "pearson", "spearman", "concordance_corrcoef")},
    "cosine_similarity": lambda p, t: tm.cosine_similarity(p, t, reduction="mean"),
}
THREE: dict[str, Any] = {"task": "multiclass", "num_classes": 3}


def updated(metric: Any, said: Tensor, truth: Tensor) -> Any:
    metric.update(said, truth)
    return metric.compute()


MASKS: Expected = {
    "accuracy": lambda p, t: tm.accuracy(p, t, average="micro", **THREE),
    "iou": lambda p, t: tm.jaccard_index(p, t, **THREE),
    "miou": lambda p, t: tm.jaccard_index(p, t, **THREE),
    "f1": lambda p, t: tm.f1_score(p, t, average="macro", **THREE),
    "mean_iou": lambda p, t: updated(torchmetrics.segmentation.MeanIoU(3, input_format="index"), p.argmax(1), t),
    "dice": lambda p, t: updated(
        torchmetrics.segmentation.DiceScore(3, average="macro", input_format="index"), p.argmax(1), t
    ),
    "generalized_dice_score": lambda p, t: masks.generalized_dice_score(
        p.argmax(1), t, 3, input_format="index", per_class=False
    ).mean(),
}
TEXTS: Expected = {
    "wer": texts.word_error_rate,
    "cer": texts.char_error_rate,
    "mer": texts.match_error_rate,
    "wil": texts.word_information_lost,
    "wip": texts.word_information_preserved,
    "edit_distance": texts.edit_distance,
    "ter": lambda p, t: texts.translation_edit_rate(p, [[true] for true in t]),
    "chrf": lambda p, t: texts.chrf_score(p, [[true] for true in t]),
    "bleu": lambda p, t: texts.bleu_score(p, [[true] for true in t]),
    "sacre_bleu_score": lambda p, t: texts.sacre_bleu_score(p, [[true] for true in t]),
    "rouge": lambda p, t: texts.rouge_score(p, t, rouge_keys=("rougeL",))["rougeL_fmeasure"],
    "rouge1": lambda p, t: texts.rouge_score(p, t, rouge_keys=("rouge1",))["rouge1_fmeasure"],
    "rouge2": lambda p, t: texts.rouge_score(p, t, rouge_keys=("rouge2",))["rouge2_fmeasure"],
    "rougel": lambda p, t: texts.rouge_score(p, t, rouge_keys=("rougeL",))["rougeL_fmeasure"],
    "exact_match": lambda p, t: sum(a == b for a, b in zip(p, t, strict=True)) / len(t),
}
PICTURES: Expected = {
    "psnr": lambda p, t: tm.peak_signal_noise_ratio(p, t, data_range=1.0),
    "ssim": lambda p, t: tm.structural_similarity_index_measure(p, t, data_range=1.0),
    "ms_ssim": lambda p, t: tm.multiscale_structural_similarity_index_measure(p, t, data_range=1.0),
    "universal_image_quality_index": tm.universal_image_quality_index,
    "mae": tm.mean_absolute_error,
}
SOUNDS: Expected = {
    "snr": lambda p, t: tm.signal_noise_ratio(p, t).mean(),
    "sdr": lambda p, t: tm.signal_distortion_ratio(p, t).mean(),
    "si_sdr": lambda p, t: tm.scale_invariant_signal_distortion_ratio(p, t).mean(),
    "si_snr": lambda p, t: tm.scale_invariant_signal_noise_ratio(p, t).mean(),
}


def softmax(scores: Tensor) -> Tensor:
    return scores.softmax(dim=1)


def as_they_are(scores: Tensor) -> Tensor:
    return scores


NEAR, ROWS = drawn(40, seed=3) + 0.1, drawn(40, 3, seed=3) + 0.1
IMAGES, WAVES = drawn(4, 3, 180, 180, seed=5), drawn(6, 400, seed=6) - 0.5
#: what the task is stated as, scores and targets, what torchmetrics gets of the scores, what is expected
FAMILIES: dict[str, tuple[str, Tensor, Tensor, Callable[[Tensor], Tensor], Expected]] = {
    "classes": ("classification", drawn(40, 4) * 4, picked(4, 40), softmax, MULTICLASS),
    "yes or no": ("classification", drawn(40) * 4 - 2, picked(2, 40), torch.sigmoid, BINARY),
    "yes or no, of class 1": ("classification", drawn(40) * 4 - 2, picked(2, 40), torch.sigmoid, CLASS_ONE),
    "two classes": ("classification", drawn(40, 2) * 4, picked(2, 40), softmax, TWO_CLASSES),
    "labels": ("multilabel", drawn(40, 4) * 4 - 2, picked(2, 40, 4), torch.sigmoid, MULTILABEL),
    "a number": ("regression", NEAR + drawn(40) / 9, NEAR, as_they_are, NUMBERS),
    "numbers": ("regression", ROWS + drawn(40, 3) / 9, ROWS, as_they_are, COLUMNS),
    "masks": ("segmentation", drawn(6, 3, 8, 8), picked(3, 6, 8, 8), softmax, MASKS),
    "pictures": ("regression", (IMAGES + drawn(4, 3, 180, 180) / 9).clamp(0, 1), IMAGES, as_they_are, PICTURES),
    "sounds": ("regression", WAVES + drawn(6, 400) / 9, WAVES, as_they_are, SOUNDS),
}
SAID = ["the cat sat on the mat today", "a dog runs fast in the park", "no it is not so at all", "good"]
TRUE = ["the cat sat on a mat today", "a dog runs fast in the park", "it is not so", "good"]


def score(judge: Judge, name: str) -> float:
    assert judge.unknown == {}
    return next(found.value for found in judge.scores() if found.name == name)


@pytest.mark.parametrize(("family", "name"), [(family, name) for family, (*_, of) in FAMILIES.items() for name in of])
def test_a_metric_is_that_of_torchmetrics(family: str, name: str) -> None:
    """In two batches, as an evaluation sees them."""
    stated, scores, targets, told, expected = FAMILIES[family]
    judge = Judge({name: None}, {"task_type": stated}, None, "")
    half = len(targets) // 2
    for rows in (slice(0, half), slice(half, None)):
        judge.see([str(n) for n in range(len(targets))[rows]], judge.judged(scores[rows], targets[rows]))
    value = expected[name](told(scores), targets)
    assert score(judge, name) == pytest.approx(float(value), rel=1e-4, abs=1e-6)


def of_texts(name: str) -> Judge:
    judge = Judge({name: None}, {}, None, "")
    judge.task = "text"
    judge.see(list("abcd"), Seen(TRUE, SAID, None, torch.zeros(4), torch.ones(4, dtype=torch.bool)))
    return judge


@pytest.mark.parametrize("name", TEXTS)
def test_a_metric_of_texts(name: str) -> None:
    assert score(of_texts(name), name) == pytest.approx(float(TEXTS[name](SAID, TRUE)), rel=1e-5)


@pytest.mark.parametrize("name", ["wer", "cer", "exact_match"])
def test_texts_are_compared_one_by_one(name: str) -> None:
    """Versions are scored on the same true texts, so the share of each text in the rate can be told."""
    judge = of_texts(name)
    value = score(judge, name)
    assert sum(judge.parts[name]) / 4 == pytest.approx(value, rel=1e-5)
    assert judge.parts[name][3] == (1 if name == "exact_match" else 0)


def test_boxes_need_packages_of_others_and_say_which(capsys: pytest.CaptureFixture[str]) -> None:
    box = {"boxes": torch.tensor([[0.0, 0, 10, 10]]), "labels": torch.tensor([1])}
    judge = Judge({"map": None, "map50": None}, {}, None, "")
    judge.task = "detection"
    said = [{**box, "scores": torch.tensor([0.9])}]
    judge.see(["a"], Seen([box], said, None, torch.zeros(1), torch.ones(1, dtype=torch.bool)))
    if importlib.util.find_spec("pycocotools") and importlib.util.find_spec("torchvision"):
        assert score(judge, "map") == score(judge, "map50") == pytest.approx(1)
    else:
        assert math.isnan(score(judge, "map")) and "pycocotools" in capsys.readouterr().out


def test_the_list_that_check_goes_by_is_what_is_tried_here() -> None:
    tried = {taken_apart(name)[0] for *_, expected in FAMILIES.values() for name in expected} | {*TEXTS, "loss"}
    elsewhere = {"mean_average_precision", "map_50", "map_75"}
    assert {taken_apart(name)[0] for name in MEASURED.split()} == {canonical(name) for name in tried} | elsewhere


@pytest.mark.parametrize("name", MEASURED.split())
def test_what_is_measured_has_a_direction(name: str) -> None:
    assert metrics.higher_is_better(name) is not None
    assert all(canonical(spelling) == name for spelling in SPELLINGS.get(name, "").split())


@pytest.mark.parametrize("name", ["mean_iou", "dice", "iou", "accuracy"])
def test_places_that_are_ignored_count_in_no_metric_of_masks(name: str) -> None:
    """As if the picture ended there."""
    scores, targets = drawn(4, 3, 8, 8), picked(3, 4, 8, 8)
    found = []
    for rows, ignored in ((6, 255), (8, 255)):
        truth = targets.clone()
        truth[:, 6:] = ignored
        judge = Judge({name: None}, {"task_type": "segmentation"}, None, f"CrossEntropyLoss(ignore_index={ignored})")
        judge.see(list("abcd"), judge.judged(scores[:, :, :rows], truth[:, :rows]))
        found.append(score(judge, name))
    assert found[0] == pytest.approx(found[1])


def test_a_mask_for_yes_or_no_is_scored_by_what_is_marked() -> None:
    scores, targets = drawn(4, 8, 8) - 0.3, picked(2, 4, 8, 8)
    judge = Judge(dict.fromkeys(("iou", "dice")), {"task_type": "segmentation"}, None, "BCEWithLogitsLoss()")
    judge.see(list("abcd"), judge.judged(scores, targets.double()))
    marked, both = scores >= 0, (scores >= 0) & (targets == 1)
    assert score(judge, "iou") == pytest.approx(float(both.sum() / (marked | (targets == 1)).sum()))
    apart = [2 * both[n].sum() / (marked[n].sum() + targets[n].sum()) for n in range(4)]
    whole = 2 * both.sum() / (marked.sum() + targets.sum())
    assert score(judge, "dice") in (pytest.approx(float(sum(apart) / 4)), pytest.approx(float(whole)))


def test_samples_of_different_weight_are_not_compared_one_by_one() -> None:
    """Padding does not count: the mean over texts is not the accuracy over places."""
    scores, targets = drawn(4, 6, 3), picked(3, 4, 6)
    targets[0, 2:] = -100
    judge = Judge({"accuracy": None}, {}, None, "")
    judge.see(list("abcd"), judge.judged(scores, targets))
    right = (scores.argmax(2) == targets)[targets != -100].double().mean()
    assert score(judge, "accuracy") == pytest.approx(float(right)) and judge.parts == {}


@pytest.mark.parametrize("stated", ["classification", "multilabel"])
def test_what_is_of_class_one_needs_two_classes(stated: str) -> None:
    truth = picked(4, 40) if stated == "classification" else picked(2, 40, 4)
    judge = Judge({"binary_f1": None}, {"task_type": stated}, None, "")
    judge.see([str(n) for n in range(40)], judge.judged(drawn(40, 4), truth))
    assert judge.unknown == {
        "binary_f1": "the metric 'binary_f1' is that of class 1 of two classes, not 4; name f1",
    }
