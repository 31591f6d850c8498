"""Which patches of a slide are looked at."""

from src.data.patching.centred_grid import CentredGrid
from src.data.patching.choice import Patching
from src.data.patching.patches import GridPatcher, Patcher, Patches
from src.data.patching.tissue_grid import TissueGrid
from src.data.patching.whole_image import WholeImage

__all__ = [
    "CentredGrid",
    "GridPatcher",
    "Patcher",
    "Patches",
    "Patching",
    "TissueGrid",
    "WholeImage",
]
