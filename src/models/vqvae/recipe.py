"""How the VQ-VAE is trained where no weights are given: small, on the cohort that is about to be searched."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from src.data.cohort import Cohort
from src.data.patching import Patcher
from src.errors import ConfigError
from src.models.patch_data import PatchDataModule
from src.models.patch_views import RandomCrop
from src.models.quiet_training import train_quietly
from src.models.vqvae.module import VqVae
from src.models.vqvae.network import DOWNSAMPLE


@dataclass(frozen=True)
class VqVaeRecipe:
    """Settings of a training that is over in a minute or two; SISH's took 256 channels and whole patches.

    Attributes:
        n_channels: width of the network.
        n_codewords: keys compare with SISH's steps only where there are 128.
        start_codebook: draw the codewords from the first batch.
        crop_px: side of the squares learnt from.
        patches_per_slide: random ones, of each of which one square is seen per epoch.
        batch_size: squares of a step.
        n_steps: of the optimiser.
        lr: learning rate.
        seed: of everything that is random.
    """

    n_channels: int
    n_codewords: int
    start_codebook: bool
    crop_px: int
    patches_per_slide: int
    batch_size: int
    n_steps: int
    lr: float
    seed: int

    def __post_init__(self) -> None:
        if self.crop_px % DOWNSAMPLE or min(self.n_channels, self.n_codewords, self.crop_px, self.n_steps) < 1:
            raise ConfigError(
                f"key_encoder.training: crop_px is {self.crop_px}, expected a multiple of {DOWNSAMPLE}; n_channels, "
                f"n_codewords and n_steps are {self.n_channels}, {self.n_codewords} and {self.n_steps}, expected 1 or "
                "more"
            )

    def data(self, cohort: Cohort, patcher: Patcher) -> PatchDataModule:
        """What is learnt from: every slide, none held back."""
        return PatchDataModule(
            cohort,
            patcher,
            RandomCrop(self.crop_px),
            self.patches_per_slide,
            self.batch_size,
            val_fraction=0.0,
            seed=self.seed,
            window_px=self.crop_px,
        )

    def shaped_by(self, data: PatchDataModule) -> dict[str, Any]:
        """Every setting and the content of the slides."""
        return {**asdict(self), "patches": data.fingerprint()}

    def train(self, data: PatchDataModule, path: Path) -> None:
        """Train, and write the weights to `path`."""
        make = partial(VqVae, self.n_channels, self.n_codewords, self.lr, self.start_codebook, self.seed)
        train_quietly(make, data, self.n_steps, self.seed, path, "vqvae")
