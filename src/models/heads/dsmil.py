"""Dual-stream multiple instance learning: every patch is compared with the most telling one.

Source: Li, Li and Eliceiri, "Dual-stream Multiple Instance Learning Network for Whole Slide Image Classification",
CVPR 2021; authors' code binli123/dsmil-wsi, dsmil.py. The streams are those of torchmil, which has them for one output.
Differs from the paper: patches are projected first, as in the other heads; the patch stream teaches, but does not vote
at the end, which is the default of the authors' code. Differs from torchmil: one critical patch per output, and the
classifier sees the bag vectors of all outputs, as in the authors' code.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torchmil.models.dsmil import DSMIL

from src.models.heads.head import BagOutput, Lesson, projected_patches, projected_query, projection
from src.models.heads.torchmil_parts import own_parts
from src.models.task import Task


class Dsmil(nn.Module):
    """Find the critical patch of every output, and weigh all patches by their likeness to it.

    The patch stream has one linear score per output. Its maximum over the patches costs what the task says, so a bag
    learns with any task, several targets at once included.

    Args:
        dim_in: columns of the features.
        n_outputs: outputs of the task.
        dim_hidden: length of the projection; the embedding is `n_outputs` times as long.
        dim_attention: length of the vectors by which patches are compared.
        dropout: share of hidden values set to zero in training.
        critical_weight: factor of the loss of the critical patches.
    """

    def __init__(
        self,
        dim_in: int,
        n_outputs: int,
        dim_hidden: int = 128,
        dim_attention: int = 128,
        dropout: float = 0.25,
        critical_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.settings: dict[str, int | float] = {
            "dim_in": dim_in,
            "n_outputs": n_outputs,
            "dim_hidden": dim_hidden,
            "dim_attention": dim_attention,
            "dropout": dropout,
            "critical_weight": critical_weight,
        }
        self.dim_out = n_outputs * dim_hidden
        self.critical_weight = critical_weight
        self.project = projection(dim_in, dim_hidden, dropout)
        self.streams = DSMIL(in_shape=(dim_hidden,), att_dim=dim_attention, nonlinear_q=True, **own_parts())
        self.streams.inst_classifier = nn.Linear(dim_hidden, n_outputs)
        self.streams.bag_classifier = nn.Identity()  # the outputs are the classifier's that follows the head

    def check_task(self, task: Task) -> None:
        """Any task will do."""

    def forward(self, bag: Float[Tensor, "patch feature"], lesson: Lesson | None = None) -> BagOutput:
        """The bag vectors of all outputs, one after the other; the attention is the mean of theirs."""
        hidden = self.project(bag)
        vectors, attention, scores = self.streams(hidden[None], return_att=True, return_inst_pred=True)
        loss = None
        if lesson is not None:
            critical = scores.reshape(len(bag), -1).amax(0)
            loss = self.critical_weight * lesson.task.loss(critical, lesson.target)
        return BagOutput(vectors.flatten(), attention[0].mean(1), loss)

    def patch_vectors(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, "patch hidden"]:
        """See `projected_patches`."""
        return projected_patches(self.project, features)

    def query_vector(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, " hidden"]:
        """See `projected_query`."""
        return projected_query(self.project, features, self(features).attention)
