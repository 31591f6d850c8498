from __future__ import annotations

import json
from collections.abc import Sequence
from math import isnan, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, r2_score, roc_auc_score
from torch import Tensor
from torch.nn import functional

from src.data.targets import GENE_TARGETS, REGRESSION_TARGETS
from src.errors import ConfigError
from src.models.multitask import ClassColumn, MultiTask
from src.models.multitask_loss import class_weights, cross_entropy, squared_error
from src.models.multitask_scores import MultiTaskScores, class_area, f1_scores, number_scores
from tests.models.here66 import here66

_PAIR = MultiTask((ClassColumn("grade", ("a", "b", "c"), "c"),), ("age", "size"), task_weights={"age": 0.5})


@pytest.fixture(scope="module")
def losses(golden_dir: Path) -> dict[str, Tensor]:
    with np.load(golden_dir / "here_multitask_loss.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def _recorded_task(losses: dict[str, Tensor]) -> MultiTask:
    return here66({name: losses[f"class_weight/{name}"].tolist() for name in GENE_TARGETS})


def _recorded_batch(losses: dict[str, Tensor], case: str) -> tuple[Tensor, Tensor]:
    logits = [losses[f"{case}/logits/{name}"] for name in GENE_TARGETS]
    labels = [losses[f"{case}/label/{name}"].float() for name in GENE_TARGETS]
    numbers = [losses[f"{case}/pred/{name}"][:, None] for name in REGRESSION_TARGETS]
    targets = torch.stack([*labels, *(losses[f"{case}/target/{name}"] for name in REGRESSION_TARGETS)], dim=1)
    targets[:, : len(labels)] = targets[:, : len(labels)].masked_fill(targets[:, : len(labels)] == 2, nan)
    return torch.cat([*logits, *numbers], dim=1).requires_grad_(), targets


@pytest.mark.golden
@pytest.mark.parametrize("case", ["batch1", "batch8", "batch1_ignored"])
def test_losses_and_gradients_are_those_of_the_official_code(losses: dict[str, Tensor], case: str) -> None:
    task = _recorded_task(losses)
    outputs, targets = _recorded_batch(losses, case)
    ours = task.losses(outputs, targets)
    recorded = torch.stack([losses[f"{case}/loss/{name}"] for name in task.names])
    torch.testing.assert_close(ours, recorded.nan_to_num(0), rtol=1e-5, atol=1e-5)
    total = losses[f"{case}/total_loss"]
    assert torch.isfinite(ours.sum())
    assert total.isnan() == recorded.isnan().any()  # 0 / 0 in the official code
    if not total.isnan():
        torch.testing.assert_close(ours.sum(), total, rtol=1e-5, atol=1e-5)

    quarter = ours.sum() / 4  # the official code accumulates four batches
    quarter.backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    parts = torch.split(outputs.grad, list(task.sizes), dim=1)
    for name, gradient in zip(task.names, parts, strict=True):
        expected = losses[f"{case}/grad/{name}"].reshape(gradient.shape).nan_to_num(0)
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.golden
def test_class_weights_are_those_of_the_official_code(golden_dir: Path) -> None:
    recorded = json.loads((golden_dir / "here_class_weights.json").read_text())
    for name, labels in recorded["label_columns"].items():
        ours = class_weights(pd.Series(labels).astype(str), ("0", "1", "2"))
        assert ours == pytest.approx(recorded["class_weights"][name], rel=1e-6)


@pytest.mark.golden
def test_scores_are_those_of_the_official_loggers(golden_dir: Path) -> None:
    recorded = json.loads((golden_dir / "here_metrics.json").read_text())
    with np.load(golden_dir / "here_metrics.npz", allow_pickle=False) as file:
        probabilities = torch.from_numpy(file["logits"]).softmax(1).double().numpy()
        label, predicted, true = file["label"].astype(float), file["reg_pred"], file["reg_true"]
    label[label == 2] = nan
    assert class_area(probabilities, label, (0, 1)) == pytest.approx(recorded["classification"]["auc_macro"], abs=1e-9)
    names = {"spearman": "spearmanr_corr", "pearson": "pearsonr_corr", "r2": "r2score", "mse": "mse"}
    for name, score in number_scores(predicted, true).items():
        assert score == pytest.approx(recorded["regression"][names[name]], rel=1e-5, abs=1e-5)


@pytest.mark.golden
def test_f1_is_that_of_the_official_logger(golden_dir: Path) -> None:
    recorded = json.loads((golden_dir / "here_metrics.json").read_text())["classification"]
    with np.load(golden_dir / "here_metrics.npz", allow_pickle=False) as file:
        probabilities = torch.from_numpy(file["logits"]).softmax(1).double().numpy()
        label = file["label"].astype(float)
    label[label == 2] = nan
    ours = f1_scores(probabilities, label, (0, 1))
    assert ours == pytest.approx({name: recorded[name] for name in ours}, abs=1e-9)


def _cross_entropy(logits: Tensor, targets: Tensor, weights: Sequence[float], is_effective: bool = False) -> Tensor:
    """Of one column."""
    return cross_entropy(logits[:, None], targets[:, None], torch.tensor([list(weights)]), is_effective)[0]


def test_weighted_cross_entropy_is_that_of_torch() -> None:
    logits, weights = torch.randn(9, 3), (0.5, 2.0, 4.0)
    targets = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 1])
    expected = functional.cross_entropy(logits, targets, torch.tensor(weights), ignore_index=2)
    known = targets.float().masked_fill(targets == 2, nan)
    torch.testing.assert_close(_cross_entropy(logits, known, weights), expected)
    mean = functional.cross_entropy(logits, targets, torch.tensor(weights), ignore_index=2, reduction="sum") / 7
    torch.testing.assert_close(_cross_entropy(logits, known, weights, is_effective=True), mean)


def test_columns_of_any_number_of_classes_are_judged_at_once_as_one_by_one() -> None:
    columns = (
        ClassColumn("a", ("x", "y"), None, (1.0, 3.0)),
        ClassColumn("b", ("x", "y", "z", "w")),
        ClassColumn("c", ("x", "y", "z"), "z"),
    )
    task = MultiTask(columns, ("age",), effective_class_weights=True)
    outputs = torch.randn(6, 10, requires_grad=True)
    positions = torch.tensor([[0, 3, 1], [1, 0, 0], [1, 2, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]])
    losses = task.losses(outputs, torch.cat([positions.float(), torch.zeros(6, 1)], dim=1))
    parts = torch.split(outputs, list(task.sizes), dim=1)
    expected = [functional.cross_entropy(part, positions[:, i]) for i, part in enumerate(parts[1:3], start=1)]
    torch.testing.assert_close(losses[1:3], torch.stack(expected))
    by_hand = functional.cross_entropy(parts[0], positions[:, 0], torch.tensor([1.0, 3.0]), reduction="sum") / 6
    torch.testing.assert_close(losses[0], by_hand)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    probabilities = torch.cat([part.softmax(1) for part in parts[:3]], dim=1)
    torch.testing.assert_close(task.predict(outputs[0])[:9], probabilities[0])


def test_class_weight_of_one_slide_cancels_unless_it_is_effective() -> None:
    logits, target = torch.randn(1, 3), torch.tensor([1.0])
    plain = functional.cross_entropy(logits, target.long()).item()
    assert _cross_entropy(logits, target, (1.0, 5.0, 1.0)).item() == pytest.approx(plain)
    assert _cross_entropy(logits, target, (1.0, 5.0, 1.0), is_effective=True).item() == pytest.approx(5 * plain)


@pytest.mark.parametrize("is_effective", [False, True])
def test_head_without_a_label_that_counts_costs_zero_and_has_a_zero_gradient(is_effective: bool) -> None:
    for target, weights in ((nan, (1.0, 1.0, 1.0)), (1.0, (2.0, 0.0, 3.0))):
        logits = torch.randn(1, 3, requires_grad=True)
        cost = _cross_entropy(logits, torch.tensor([target]), weights, is_effective)
        cost.backward()  # type: ignore[no-untyped-call]
        assert cost.item() == 0
        assert logits.grad is not None
        assert not logits.grad.any()


def test_missing_numbers_are_left_out_per_column() -> None:
    values = torch.tensor([[1.0, 5.0, 2.0], [3.0, 7.0, 4.0]], requires_grad=True)
    targets = torch.tensor([[0.0, nan, nan], [1.0, 4.0, nan]])
    costs = squared_error(values, targets)
    assert costs.tolist() == [(1 + 4) / 2, 9, 0]
    costs.sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert values.grad.tolist() == [[1, 0, 0], [2, 6, 0]]


def test_task_weights_multiply_the_losses_of_their_tasks() -> None:
    outputs, target = torch.randn(5), _PAIR.target(["b", 3.0, 1.0])
    cost = _PAIR.losses(outputs[None], target[None])
    assert _PAIR.loss(outputs, target).item() == pytest.approx((cost[0] + 0.5 * cost[1] + cost[2]).item())


def test_target_holds_positions_and_numbers_and_nan_for_what_is_ignored_or_unknown() -> None:
    assert _PAIR.target(["b", 3.5, -1.0]).tolist() == [1, 3.5, -1]
    assert all(isnan(value) for value in _PAIR.target(["c", nan, nan]).tolist())
    assert isnan(_PAIR.target([nan, 1.0, 1.0])[0].item())
    with pytest.raises(ConfigError, match="grade: class 'd' is not among a, b, c"):
        _PAIR.target(["d", 1.0, 1.0])


def test_prediction_is_a_probability_per_class_and_the_numbers_as_they_are() -> None:
    outputs = torch.randn(5)
    values = _PAIR.predict(outputs)
    torch.testing.assert_close(values[:3], outputs[:3].softmax(0))
    assert torch.equal(values[3:], outputs[3:])
    row = _PAIR.report(["b", nan, 2.0], values)
    assert list(row) == [
        *("grade", "grade_probability_a", "grade_probability_b", "grade_probability_c"),
        *("age", "age_predicted", "size", "size_predicted"),
    ]
    assert (row["grade"], row["age"], row["size"]) == ("b", None, 2.0)


def test_settings_are_plain_values() -> None:
    settings = here66(dict.fromkeys(GENE_TARGETS, (1, 2, 3))).settings()
    assert json.loads(json.dumps(settings)) == settings


def test_scores_are_those_of_scikit_learn_and_scipy_over_what_is_known() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 40).round(1)  # with ties
    numbers = rng.normal(size=(40, 1)).round(1)
    classes = rng.integers(0, 2, 40).astype(float)
    classes[:5] = nan
    true = numbers[:, 0] + rng.normal(size=40).round(1)
    true[-7:] = nan
    metric = MultiTaskScores({"grade": (3, (0, 1))}, ["age"])
    predictions = torch.from_numpy(np.concatenate([probabilities, numbers], axis=1))
    targets = torch.from_numpy(np.stack([classes, true], axis=1))
    for rows in (slice(0, 25), slice(25, 40)):
        metric.update(predictions[rows], targets[rows])
    scores = {name: value.item() for name, value in metric.compute().items()}

    x, y = numbers[:-7, 0], true[:-7]
    area = roc_auc_score(classes[5:], (probabilities[:, 1] - probabilities[:, 0])[5:])
    called = probabilities[5:].argmax(1)
    expected = {
        f"grade/f1_{average}": f1_score(classes[5:], called, labels=[0, 1], average=average)
        for average in ("micro", "macro", "weighted")
    }
    expected |= {"grade/auc": area, "age/spearman": spearmanr(x, y)[0], "age/pearson": pearsonr(x, y)[0]}
    expected |= {"age/r2": r2_score(y, x), "age/mse": np.mean((x - y) ** 2)}
    assert scores == pytest.approx(expected | {"overall": area + expected["age/spearman"]}, abs=1e-6)


def test_tasks_that_cannot_be_judged_are_left_out() -> None:
    metric = MultiTaskScores({"one": (3, (0, 1)), "two": (2, (0, 1))}, ["flat", "unknown"])
    predictions = torch.tensor([[0.1, 0.8, 0.1, 0.3, 0.7, 1.0, 1.0], [0.2, 0.7, 0.1, 0.6, 0.4, 1.0, 2.0]])
    metric.update(predictions, torch.tensor([[1.0, 1.0, 2.0, nan], [1.0, 0.0, 5.0, nan]]))
    scores = {name: value.item() for name, value in metric.compute().items()}
    f1 = {f"two/f1_{average}" for average in ("micro", "macro", "weighted")}
    assert set(scores) == {"two/auc", *f1, "flat/mse", "flat/r2", "overall"}
    assert scores["two/auc"] == scores["overall"] == 1


def test_overall_score_is_nan_where_nothing_can_be_judged() -> None:
    metric = MultiTaskScores({"one": (2, (0, 1))}, [])
    metric.update(torch.tensor([[0.1, 0.9]]), torch.tensor([[1.0]]))
    scores = metric.compute()
    assert list(scores) == ["overall"]
    assert scores["overall"].isnan()


def test_area_of_more_than_two_judged_classes_is_the_mean_of_one_against_the_rest() -> None:
    rng = np.random.default_rng(1)
    probabilities, targets = rng.dirichlet(np.ones(4), 30), rng.integers(0, 3, 30).astype(float)
    areas = [roc_auc_score(targets == name, probabilities[:, name]) for name in range(3)]
    assert class_area(probabilities, targets, (0, 1, 2)) == pytest.approx(np.mean(areas))


def test_loss_of_outputs_in_half_precision_is_that_of_the_same_numbers_in_full() -> None:
    task = here66(dict.fromkeys(GENE_TARGETS, (1.9047619, 4.4444444, 4.0)), is_effective=True)
    outputs, target = torch.randn(88).bfloat16(), task.target(["1"] * 11 + [0.3] * 55)
    assert torch.equal(task.loss(outputs.float(), target), task.losses(outputs[None], target[None]).sum())


@pytest.mark.parametrize("task", [MultiTask(_PAIR.classification, ()), MultiTask((), ("age",))])
def test_task_may_have_classes_alone_or_numbers_alone(task: MultiTask) -> None:
    outputs, target = torch.randn(task.n_outputs), torch.ones(1)
    assert task.loss(outputs, target) > 0
    metrics = task.metrics("val/")
    for value in (0.0, 1.0):
        metrics.update(task.predict(outputs + value * torch.arange(task.n_outputs))[None], torch.tensor([[value]]))
    assert set(metrics.compute()) > {"val/overall"}
