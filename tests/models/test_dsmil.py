from __future__ import annotations

import pytest
import torch

from src.models.heads.dsmil import Dsmil
from src.models.heads.head import Lesson
from src.models.tasks import ClassTask
from tests.models.here66 import here66

_TASK = ClassTask("tissue", ("a", "b", "c"))


def test_each_output_has_the_bag_vector_that_its_own_critical_patch_asks_for() -> None:
    head, bag = Dsmil(5, n_outputs=3, dim_hidden=6, dim_attention=4).eval(), torch.randn(7, 5)
    hidden = head.project(bag)
    queries, scores = head.streams.q_nn(hidden), head.streams.inst_classifier(hidden)
    weights = [(queries @ queries[scores[:, i].argmax()] / 4**0.5).softmax(0) for i in range(3)]
    pooled = head(bag)
    torch.testing.assert_close(pooled.embedding, torch.cat([weight @ hidden for weight in weights]))
    torch.testing.assert_close(pooled.attention, torch.stack(weights).mean(0))
    assert pooled.auxiliary_loss is None


def test_critical_patches_cost_what_the_task_says() -> None:
    head, bag = Dsmil(5, n_outputs=3, critical_weight=0.5).eval(), torch.randn(7, 5)
    scores = head.streams.inst_classifier(head.project(bag)).amax(0)
    loss = head(bag, Lesson(_TASK, torch.tensor(2))).auxiliary_loss
    assert loss.item() == pytest.approx(-0.5 * scores.log_softmax(0)[2].item(), rel=1e-5)


@pytest.mark.parametrize("n_patches", [1, 7])
def test_one_output_and_many_targets_are_served(n_patches: int) -> None:
    bag, task = torch.randn(n_patches, 5), here66()
    assert Dsmil(5, n_outputs=1, dim_hidden=6)(bag).embedding.shape == (6,)
    target = task.target(["1"] * 11 + [0.5] * 55)
    loss = Dsmil(5, n_outputs=task.n_outputs)(bag, Lesson(task, target)).auxiliary_loss
    assert loss is not None
    assert loss.isfinite()
