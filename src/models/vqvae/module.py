"""The VQ-VAE of SISH in training: patches are rebuilt from their codewords.

Source: see `network`; the loss is that of `models/vqvae.py`: squared error of the pixels, plus that between maps and
codewords, once for each of them. The optimiser is not part of the official code.
Differs from SISH: codewords may start at what the encoder gives for the first batch, as a short training would
otherwise use few of them.
"""

from __future__ import annotations

from typing import Any

import lightning
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from src.models.patch_data import Patch
from src.models.vqvae.network import Codebook, decoder, encoder


class VqVae(lightning.LightningModule):
    """Encoder, codebook and decoder, under the names of SISH's checkpoints.

    Args:
        n_channels: width of every layer and length of a codeword, 256 in SISH.
        n_codewords: 128 in SISH.
        lr: learning rate of Adam.
        start_codebook: draw the codewords from the first batch.
        seed: of that draw.
    """

    headline = "pixel_loss"
    weights_key = "key_encoder.checkpoint"
    keeps = "last"

    def __init__(self, n_channels: int, n_codewords: int, lr: float, start_codebook: bool, seed: int) -> None:
        super().__init__()
        self.encoder = encoder(n_channels)
        self.codebook = Codebook(n_codewords, n_channels)
        self.decoder = decoder(n_channels)
        self.lr = lr
        self.start_codebook = start_codebook
        self.seed = seed
        self.save_hyperparameters(logger=False)

    def settings(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps, enough to build the same network."""
        return dict(self.hparams)

    def encoder_state(self) -> dict[str, Tensor]:
        """The weights that keys are made with; those of the decoder are left out."""
        return {name: value.cpu() for name, value in self.state_dict().items() if not name.startswith("decoder.")}

    def training_step(self, batch: Patch, batch_idx: int) -> Float[Tensor, ""]:
        """Loss of one batch."""
        if self.start_codebook and self.global_step == 0:
            self._draw_codewords(_pixels(batch))
        return self._judge(batch, "train")

    def validation_step(self, batch: Patch, batch_idx: int) -> None:
        """Judge one batch."""
        self._judge(batch, "val")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over all weights."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)

    def _judge(self, batch: Patch, split: str) -> Float[Tensor, ""]:
        pixels = _pixels(batch)
        maps = self.encoder(pixels)
        codes = self.codebook.nearest(maps)
        words = self.codebook.words(codes)
        rebuilt = self.decoder(maps + (words - maps).detach())  # the gradient passes the rounding by
        pixel_loss = functional.mse_loss(rebuilt, pixels)
        word_loss = functional.mse_loss(maps, words.detach()) + functional.mse_loss(words, maps.detach())
        loss: Tensor = pixel_loss + word_loss
        n_used = float(torch.bincount(codes.flatten()).count_nonzero())
        values: dict[str, Tensor | float] = {
            "loss": loss.detach(),
            "pixel_loss": pixel_loss.detach(),
            "codewords_used": n_used,
        }
        metrics = {f"{split}/{name}": value for name, value in values.items()}
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(pixels))
        return loss

    @torch.no_grad()
    def _draw_codewords(self, pixels: Float[Tensor, "patch 3 height width"]) -> None:
        places = self.encoder(pixels).movedim(1, -1).flatten(0, -2)
        words = self.codebook.embedding.weight
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randint(len(places), (len(words),), generator=generator)
        words.copy_(places[drawn.to(places.device)])


def _pixels(batch: Patch) -> Float[Tensor, "patch 3 height width"]:
    """Every view, -1 to 1."""
    return 2 * batch.views.flatten(0, 1) - 1
