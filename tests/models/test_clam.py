from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from src.errors import IncompatibleParts
from src.models.bag_classifier import BagClassifier
from src.models.heads.clam import Clam, SmoothSvm
from src.models.heads.head import Lesson, outputs_of
from src.models.tasks import ClassTask
from tests.models.here66 import here66

_TASK = ClassTask("tissue", ("a", "b", "c"))


def _clam(is_multibranch: bool, clustering_weight: float = 0.43) -> Clam:
    torch.manual_seed(0)
    head = Clam(5, 3, is_multibranch, dim_hidden=6, dim_attention=4, n_clustered=2, clustering_weight=clustering_weight)
    return head.eval()


def _scores(head: Clam, hidden: torch.Tensor) -> torch.Tensor:
    pool = head.clam.pool
    gated = torch.tanh(pool.fc1(hidden)) * torch.sigmoid(pool.fc_gated(hidden))
    scores: torch.Tensor = (gated @ pool.fc2.weight.T).T
    return scores


@pytest.mark.parametrize("is_multibranch", [False, True])
def test_bag_is_the_sum_of_its_patches_by_each_gated_attention(is_multibranch: bool) -> None:
    head, bag = _clam(is_multibranch), torch.randn(7, 5)
    hidden = head.project(bag)
    attention = _scores(head, hidden).softmax(1)
    assert len(attention) == (3 if is_multibranch else 1)
    pooled = head(bag)
    torch.testing.assert_close(pooled.embedding, (attention @ hidden).squeeze(0))
    torch.testing.assert_close(pooled.attention, attention.mean(0))
    assert pooled.auxiliary_loss is None


@pytest.mark.parametrize("is_multibranch", [False, True])
def test_patches_at_both_ends_of_the_attention_are_clustered_by_class(is_multibranch: bool) -> None:
    head, bag, target = _clam(is_multibranch), torch.randn(7, 5), 1
    hidden = head.project(bag)
    scores = _scores(head, hidden).expand(3, -1)
    costs = []
    for i in range(3):
        order = scores[i].argsort(descending=True)
        judge = head.clam.inst_classifiers[i]
        patches, wanted = (hidden[order[[0, 1, -1, -2]]], [1, 1, 0, 0]) if i == target else (hidden[order[:2]], [0, 0])
        other = judge(patches).gather(1, 1 - torch.tensor(wanted)[:, None])
        own = judge(patches).gather(1, torch.tensor(wanted)[:, None])
        costs.append(functional.softplus(1 + other - own).mean())
    loss = head(bag, Lesson(_TASK, torch.tensor(target))).auxiliary_loss
    assert loss is not None
    torch.testing.assert_close(loss, 0.43 * torch.stack(costs).mean())


def test_each_output_sees_its_own_branch_alone() -> None:
    layer, branches = torch.nn.Linear(6, 3), torch.randn(3, 6)
    outputs = outputs_of(layer, branches)
    torch.testing.assert_close(outputs, torch.stack([layer(branches[i])[i] for i in range(3)]))
    torch.testing.assert_close(outputs_of(layer, branches[0]), layer(branches[0]))


def test_well_separated_patches_cost_nothing_and_swapped_ones_their_distance_and_the_margin() -> None:
    logits, targets = torch.tensor([[-9.0, 9.0], [9.0, -9.0]]), torch.tensor([[1.0], [0.0]])
    assert SmoothSvm()(logits, targets).item() == pytest.approx(0, abs=1e-6)
    assert SmoothSvm()(-logits, targets).item() == pytest.approx(19)


def test_a_bag_smaller_than_the_clusters_costs_something_finite() -> None:
    head = Clam(5, 3, False, n_clustered=8)
    loss = head(torch.randn(3, 5), Lesson(_TASK, torch.tensor(0))).auxiliary_loss
    assert loss is not None
    assert loss.isfinite()


def test_several_targets_are_refused_before_the_first_bag_unless_nothing_is_clustered() -> None:
    with pytest.raises(IncompatibleParts, match=r"MultiTask has several targets; set head\.clustering_weight=0"):
        BagClassifier(_clam(False), here66())
    head = Clam(5, here66().n_outputs, True, clustering_weight=0.0)
    assert not any("inst_classifiers" in name for name, _ in head.named_parameters())
    outputs, _ = BagClassifier(head, here66())(torch.randn(7, 5))
    assert outputs.shape == (88,)
