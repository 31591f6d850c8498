"""The canvas of one slide: maps of stain density at 0.5 um per pixel, and the steps that every tissue shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from src.data.demo.nuclei import FIBROBLAST, LYMPHOCYTE, MITOSIS, Bank, Nucleus
from src.data.demo.patients import DemoPatient
from src.data.demo.textures import Map, Mask, Points, Shape, at, fibres, scattered, smooth_noise, softened

_MITOTIC_FRACTION = 0.025  # of the nuclei, at proliferation 1


@dataclass
class Canvas:
    """Stain densities while they are drawn.

    Attributes:
        eosin: eosin density.
        haematoxylin: haematoxylin density outside nuclei (basophilic cytoplasm, mucin).
        nuclei: haematoxylin density of nuclei.
        is_stroma: where connective tissue lies, free for fibroblasts and lymphocytes.
        potential: its level curves are the direction of the fibres.
    """

    patient: DemoPatient
    rng: np.random.Generator
    eosin: Map
    haematoxylin: Map
    nuclei: Map
    is_stroma: Mask
    potential: Map

    @property
    def shape(self) -> Shape:
        """Height and width, pixels."""
        return self.eosin.shape[0], self.eosin.shape[1]

    def paint(self, mask: Mask, eosin: Map | float, haematoxylin: float = 0.0, edge_px: float = 1.2) -> None:
        """Lay a tissue part over what is there, with soft edges; it is no stroma from then on."""
        alpha = softened(mask, edge_px)
        self.eosin += alpha * (eosin - self.eosin)
        self.haematoxylin += alpha * (haematoxylin - self.haematoxylin)
        self.is_stroma &= ~mask

    def add_nuclei(self, kind: Nucleus, points: Points, angles: Float64[np.ndarray, " point"] | None = None) -> None:
        """Stamp the patient's own nuclei of a kind, a few of them in division; without angles they lie at random."""
        is_dividing = self.rng.random(len(points)) < _MITOTIC_FRACTION * self.patient.proliferation
        if angles is None:
            angles = self.random_angles(points)
        bank = Bank(kind.pleomorphic(self.patient.pleomorphism), self.rng)
        bank.stamp(self.nuclei, points[~is_dividing], angles[~is_dividing], self.rng)
        mitoses = points[is_dividing]
        Bank(MITOSIS, self.rng).stamp(self.nuclei, mitoses, self.random_angles(mitoses), self.rng)

    def random_angles(self, points: Points) -> Float64[np.ndarray, " point"]:
        """One direction per point."""
        return self.rng.uniform(0, np.pi, len(points))

    def spacing(self, loose_px: float) -> float:
        """Distance between cells: `loose_px` at rest, two thirds of it at full proliferation."""
        return loose_px * (1.05 - 0.33 * self.patient.proliferation)


def stroma(patient: DemoPatient, shape: Shape, rng: np.random.Generator) -> Canvas:
    """A canvas of connective tissue: wavy collagen, denser with fibrosis, with pale clefts between the strands."""
    potential = 130 * smooth_noise(shape, 420.0, rng) + 28 * smooth_noise(shape, 130.0, rng)
    strands, fine = fibres(potential, 14.0, rng), fibres(potential, 4.0, rng)
    loose = softened_step(strands - 0.28 - 0.12 * smooth_noise(shape, 90.0, rng) + 0.2 * patient.fibrosis, 0.15)
    eosin = (0.1 + (0.2 + 0.22 * patient.fibrosis) * loose * (0.65 + 0.6 * fine)).astype(np.float32)
    eosin *= 1 + 0.12 * smooth_noise(shape, 60.0, rng)
    empty = np.zeros(shape, np.float32)
    return Canvas(patient, rng, eosin, empty, empty.copy(), np.ones(shape, bool), potential)


def add_stroma_cells(canvas: Canvas) -> None:
    """Fibroblasts along the fibres, and as many lymphocytes as the patient's infiltration says."""
    rng, patient = canvas.rng, canvas.patient
    points = on(canvas.is_stroma, scattered(canvas.shape, 34.0, rng, 0.5))
    Bank(FIBROBLAST, rng).stamp(canvas.nuclei, points, fibre_angles(canvas.potential, points), rng)
    crowding = smooth_noise(canvas.shape, 150.0, rng)
    points = on(canvas.is_stroma, scattered(canvas.shape, 17.0, rng, 0.45))
    share = np.clip(
        0.02 + 0.75 * patient.infiltration**1.5 + 0.35 * patient.infiltration * at(crowding, points), 0, 0.9
    )
    points = points[rng.random(len(points)) < share]
    Bank(LYMPHOCYTE, rng).stamp(canvas.nuclei, points, canvas.random_angles(points), rng)


def fibre_angles(potential: Map, points: Points) -> Float64[np.ndarray, " point"]:
    """Direction of the level curve of `potential` through each point."""
    step = np.array([[3.0, 0.0], [0.0, 3.0]])
    limit = np.array(potential.shape[::-1]) - 1
    dx, dy = (
        at(potential, (points + shift).clip(0, limit)) - at(potential, (points - shift).clip(0, limit))
        for shift in step
    )
    angles: np.ndarray = np.arctan2(dy, dx) + np.pi / 2
    return angles.astype(np.float64)


def on(mask: Mask, points: Points) -> Points:
    """The points that lie on the mask."""
    kept: Points = points[at(mask, points)]
    return kept


def softened_step(values: Map, width: float) -> Map:
    """0 below zero, 1 above `width`, a ramp between."""
    step: Map = np.clip(values / width, 0, 1)
    return step
