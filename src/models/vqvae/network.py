"""The VQ-VAE of SISH: a patch becomes a map of codewords, sixteen times smaller.

Source: Chen et al., "Fast and scalable search of whole-slide images via self-supervised deep learning", 2022;
mahmoodlab/SISH (commit 42fe005), `models/vqvae.py`, whose names of parts are kept so that its checkpoints load.
Differs from SISH: the width, 256 channels there, is a setting.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

DOWNSAMPLE = 16
"""Pixels of a patch per codeword, along one side."""


class Residual(nn.Module):
    """x + convolutions of x."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.BatchNorm2d(n_channels),
            nn.ReLU(),
            nn.Conv2d(n_channels, n_channels, kernel_size=3, padding=1),
            nn.BatchNorm2d(n_channels),
            nn.ReLU(),
            nn.Conv2d(n_channels, n_channels, kernel_size=1),
        )

    def forward(self, maps: Float[Tensor, "patch channel height width"]) -> Float[Tensor, "patch channel height width"]:
        """Maps of the same shape."""
        changed: Tensor = maps + self.net(maps)
        return changed


class Codebook(nn.Module):
    """The codewords that every place of a map is rounded to."""

    def __init__(self, n_codewords: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_codewords, dim)
        nn.init.uniform_(self.embedding.weight, -1 / n_codewords, 1 / n_codewords)

    def nearest(self, maps: Float[Tensor, "patch channel height width"]) -> Int64[Tensor, "patch height width"]:
        """The codeword nearest to each place, by squared Euclidean distance; of equally near ones the first."""
        words = self.embedding.weight
        # argmin |z - w|^2 = argmin |w|^2 - 2 zw
        distances = words.square().sum(1) - 2 * maps.movedim(1, -1) @ words.T
        return distances.argmin(-1)

    def words(self, codes: Int64[Tensor, "patch height width"]) -> Float[Tensor, "patch channel height width"]:
        """The codeword of each place."""
        words: Tensor = self.embedding(codes)
        return words.movedim(-1, 1)


def encoder(n_channels: int) -> nn.Sequential:
    """Pixels, -1 to 1, to maps that are sixteen times smaller."""
    layers: list[nn.Module] = []
    for n_in in (3, n_channels, n_channels):
        layers += [_halving(n_in, n_channels), nn.ReLU(), nn.BatchNorm2d(n_channels)]
    layers += [_halving(n_channels, n_channels), Residual(n_channels), Residual(n_channels)]
    return nn.Sequential(*layers)


def decoder(n_channels: int) -> nn.Sequential:
    """Maps back to pixels, -1 to 1."""
    layers: list[nn.Module] = [Residual(n_channels), Residual(n_channels)]
    for n_out in (n_channels, n_channels, n_channels, 3):
        layers += [nn.ReLU(), nn.BatchNorm2d(n_channels), _doubling(n_channels, n_out)]
    return nn.Sequential(*layers, nn.Tanh())


class VqVaeEncoder(nn.Module):
    """What a search needs of the network: patches to codewords."""

    def __init__(self, n_channels: int, n_codewords: int) -> None:
        super().__init__()
        self.encoder = encoder(n_channels)
        self.codebook = Codebook(n_codewords, n_channels)

    @torch.inference_mode()
    def forward(self, pixels: Float[Tensor, "patch 3 height width"]) -> Int64[Tensor, "patch row column"]:
        """Codewords of pixels, 0 to 1."""
        codes: Tensor = self.codebook.nearest(self.encoder(2 * pixels - 1))
        return codes


def _halving(n_in: int, n_out: int) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, kernel_size=4, stride=2, padding=1)


def _doubling(n_in: int, n_out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(n_in, n_out, kernel_size=4, stride=2, padding=1)
