"""Clustering-constrained attention (CLAM), with one attention branch or with one per class.

Source: Lu et al., "Data-efficient and weakly supervised computational pathology on whole-slide images", Nature
Biomedical Engineering 2021; authors' code mahmoodlab/CLAM, models/model_clam.py. Pooling and the choice of patches are
those of torchmil's CLAM_SB, which has one branch and two classes.
Differs from the paper: the gates have no dropout; the loss is bag + 3/7 patches, which is 0.7 bag + 0.3 patches but for
a factor; in a bag of fewer than 2k patches the top and the bottom k overlap. Classes exclude each other, as `subtyping`
says in the authors' code. Differs from torchmil: any number of classes and branches, and the smooth SVM loss is taken
patch by patch (version 1.0.2 takes the maximum over patches and fails on well separated ones).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchmil.models.clam import CLAM_SB

from src.errors import IncompatibleParts
from src.models.heads.head import BagOutput, Lesson, projected_patches, projected_query, projection
from src.models.heads.torchmil_parts import own_parts
from src.models.task import Task
from src.models.tasks import ClassTask


class Clam(nn.Module):
    """Gated attention whose extremes are clustered: what it rates highest has to look like the slide's class.

    Args:
        dim_in: columns of the features.
        n_outputs: outputs of the task.
        is_multibranch: one attention per output, which sees the bag by its own branch alone (CLAM-MB); otherwise one
            for all (CLAM-SB).
        dim_hidden: length of the embedding, or of each branch's.
        dim_attention: hidden units of each gate.
        dropout: share of projected values set to zero in training.
        n_clustered: patches that are clustered at either end of the attention; the paper's B.
        clustering_weight: factor of the clustering loss; 0 for none, as tasks of several targets at once need it.
    """

    def __init__(
        self,
        dim_in: int,
        n_outputs: int,
        is_multibranch: bool,
        dim_hidden: int = 512,
        dim_attention: int = 256,
        dropout: float = 0.25,
        n_clustered: int = 8,
        clustering_weight: float = 0.43,
    ) -> None:
        super().__init__()
        self.settings: dict[str, int | float] = {
            "dim_in": dim_in,
            "n_outputs": n_outputs,
            "is_multibranch": is_multibranch,
            "dim_hidden": dim_hidden,
            "dim_attention": dim_attention,
            "dropout": dropout,
            "n_clustered": n_clustered,
            "clustering_weight": clustering_weight,
        }
        self.dim_out = dim_hidden
        self.is_multibranch = is_multibranch
        self.clustering_weight = clustering_weight
        self.project = projection(dim_in, dim_hidden, dropout)
        self.clam = CLAM_SB(
            in_shape=(dim_hidden,), att_dim=dim_attention, k_sample=n_clustered, gated=True, **own_parts()
        )
        self.clam.classifier = nn.Identity()  # the outputs are the classifier's that follows the head
        if is_multibranch:
            self.clam.pool.fc2 = nn.Linear(dim_attention, n_outputs, bias=False)
        n_judges = n_outputs if clustering_weight else 0
        self.clam.inst_classifiers = nn.ModuleList(nn.Linear(dim_hidden, 2) for _ in range(n_judges))
        self.clam.inst_loss_fn = SmoothSvm()

    def check_task(self, task: Task) -> None:
        """Refuse several targets at once, unless nothing is clustered."""
        if self.clustering_weight and not isinstance(task, ClassTask):
            raise IncompatibleParts(
                f"head: CLAM clusters patches by the one class of a slide, {type(task).__name__} has several targets; "
                "set head.clustering_weight=0, or choose task=classification"
            )

    def forward(self, bag: Float[Tensor, "patch feature"], lesson: Lesson | None = None) -> BagOutput:
        """The bag by each branch, and the mean of their attention."""
        hidden = self.project(bag)
        pooled, raw = self.clam.pool(hidden[None], return_att=True)
        branches, scores = pooled[0].reshape(self.dim_out, -1).T, raw[0].reshape(len(bag), -1).T
        loss = None
        if lesson is not None and self.clustering_weight:
            loss = self.clustering_weight * self._clustering_loss(hidden, scores, int(lesson.target))
        return BagOutput(branches if self.is_multibranch else branches[0], scores.softmax(1).mean(0), loss)

    def patch_vectors(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, "patch hidden"]:
        """See `projected_patches`."""
        return projected_patches(self.project, features)

    def query_vector(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, " hidden"]:
        """See `projected_query`."""
        return projected_query(self.project, features, self(features).attention)

    def _clustering_loss(
        self, hidden: Float[Tensor, "patch hidden"], scores: Float[Tensor, "branch patch"], target: int
    ) -> Float[Tensor, ""]:
        """Mean over the classes: both ends tell the slide's class, the top is none of the others."""
        judges = self.clam.inst_classifiers
        costs = []
        for i, (judge, score) in enumerate(zip(judges, scores.expand(len(judges), -1), strict=True)):
            cluster = self.clam.inst_eval if i == target else self.clam.inst_eval_out
            costs.append(cluster(score, hidden, judge)[0])
        return torch.stack(costs).mean()


class SmoothSvm(nn.Module):
    """Smooth top-1 SVM loss of Berrada et al. (ICLR 2018) at temperature 1: cross entropy after a margin of 1.

    >>> SmoothSvm()(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0]]))  # the margin is met exactly: log 2
    tensor(0.6931)
    """

    def forward(self, logits: Float[Tensor, "patch 2"], targets: Float[Tensor, "patch 1"]) -> Float[Tensor, ""]:
        """The mean over the patches."""
        position = targets[:, 0].long()
        return functional.cross_entropy(logits + 1 - functional.one_hot(position, 2), position)
