"""PathSearch in training: each slide has to find its report among those of the batch, and each report its slide.

Source: PathSearch (see `network`), `src/train_pathsearch.py`.
Differs from it: the epoch is chosen on val (`official_test_selection`); the contrast is over all processes, as there
over all devices of one. The temperature is learnt and not bounded, as there.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import lightning
import torch
from jaxtyping import Float
from torch import Tensor

from src.models.bags import seed_of
from src.models.pathsearch.losses import contrast, sameness
from src.models.pathsearch.network import PathSearchNetwork
from src.models.pathsearch.pairs import Pairs
from src.models.pathsearch.report_tower import Reports, expect_reports
from src.models.pathsearch.slide_encoder import SlideEncoder


class PairVectors(NamedTuple):
    """Unit vectors of slides, their mosaics and their reports."""

    slide_ids: list[str]
    texts: list[str]
    slides: Float[Tensor, "pair dim"]
    mosaics: Float[Tensor, "pair mosaic dim"]
    reports: Float[Tensor, "pair dim"]


class SlideReportContrast(lightning.LightningModule):
    """Learns from pairs of slides and reports by AdamW.

    Args:
        dim_in: columns of the features.
        reports: the text tower.
        dim: of the vectors.
        n_mosaics: vectors of a slide's mosaic.
        diversity_weight: what the sameness of these vectors counts.
        lr: learning rate.
        weight_decay: decoupled.
        seed: of dropout.

    Raises:
        ConfigError: no text tower.
    """

    def __init__(
        self,
        dim_in: int,
        reports: Reports | None,
        dim: int,
        n_mosaics: int,
        diversity_weight: float,
        lr: float,
        weight_decay: float,
        seed: int,
    ) -> None:
        super().__init__()
        reports = expect_reports(reports)
        self.diversity_weight, self.lr, self.weight_decay, self.seed = diversity_weight, lr, weight_decay, seed
        self.save_hyperparameters(
            {
                "dim_in": dim_in,
                "reports": dict(reports.settings()),
                "dim": dim,
                "n_mosaics": n_mosaics,
                "diversity_weight": diversity_weight,
                "lr": lr,
                "weight_decay": weight_decay,
                "seed": seed,
            },
            logger=False,
        )
        self.network = PathSearchNetwork(SlideEncoder(dim_in, dim, n_mosaics), reports.pretrained(), reports.dim)
        self._judged: list[PairVectors] = []

    def settings(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps, enough to build the same network."""
        return dict(self.hparams)

    def training_step(self, batch: Pairs, batch_idx: int) -> Float[Tensor, ""]:
        """The loss of one batch, contrasted with those of the other processes."""
        self._seed_dropout(seed_of(self.seed, self.current_epoch, batch.slide_ids[0]))
        vectors = self._encoded(batch)
        slides, reports = (self._of_all_processes(part) for part in (vectors.slides, vectors.reports))
        return self._loss(slides, reports, vectors.mosaics, "train")

    def on_validation_epoch_start(self) -> None:
        """Forget the epoch before."""
        self._judged = []

    def validation_step(self, batch: Pairs, batch_idx: int) -> None:
        """Keep the vectors: a report is looked for among all slides of the split."""
        self._judged.append(self._encoded(batch))

    def on_validation_epoch_end(self) -> None:
        """The loss of the split as one batch, and the share that is found."""
        slides, mosaics, reports = (
            torch.cat([getattr(part, name) for part in self._judged]) for name in ("slides", "mosaics", "reports")
        )
        self._loss(slides, reports, mosaics, "val")
        texts = [text for part in self._judged for text in part.texts]
        self.log("val/found", (found(slides @ reports.T, texts) + found(reports @ slides.T, texts)) / 2)

    def predict_step(self, batch: Pairs, batch_idx: int) -> PairVectors:
        """The vectors of a batch."""
        return self._encoded(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over what is not frozen, at one rate."""
        learnt = [weight for weight in self.parameters() if weight.requires_grad]
        return torch.optim.AdamW(learnt, self.lr, weight_decay=self.weight_decay)

    def _seed_dropout(self, seed: int) -> None:
        """What is dropped follows from the batch, so that a training that was stopped goes on as if it had not."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _encoded(self, batch: Pairs) -> PairVectors:
        vectors = self.network.slides(batch.bags)
        reports = self.network.reports(batch.reports)
        return PairVectors(batch.slide_ids, batch.reports, vectors.slide, vectors.mosaic, reports)

    def _of_all_processes(self, vectors: Float[Tensor, "pair dim"]) -> Float[Tensor, "all dim"]:
        """DDP averages gradients, and gathering adds them up: together that is the gradient of one large batch."""
        if self.trainer.world_size == 1:
            return vectors
        gathered = cast(Tensor, self.all_gather(vectors, sync_grads=True))
        return gathered.flatten(0, 1)

    def _loss(self, slides: Tensor, reports: Tensor, mosaics: Tensor, split: str) -> Float[Tensor, ""]:
        contrasted = contrast(slides, reports, self.network.logit_scale.exp())
        same = sameness(mosaics)
        loss = contrasted + self.diversity_weight * same
        values = {"loss": loss.detach(), "contrast": contrasted.detach(), "sameness": same.detach()}
        metrics = {f"{split}/{name}": value for name, value in values.items()}
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(slides))
        return loss


def found(cosines: Float[Tensor, "query answer"], texts: list[str]) -> Float[Tensor, ""]:
    """Share of queries whose first answer has the same report; slides of a patient may share one."""
    is_own = [texts[query] == texts[answer] for query, answer in enumerate(cosines.argmax(1).tolist())]
    return torch.tensor(is_own, dtype=torch.float32).mean()
