"""One training sample: a random scene seen by a random probe, as few- and many-angle B-modes and without speckle."""

from __future__ import annotations

import functools
import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.simulate.expected import RAYLEIGH_MEAN, expected_envelope, point_spread
from edgerecon.workshop.data.simulate.plane_wave import Grid, Receive, beamform_scatterers, steering_angles
from edgerecon.workshop.data.simulate.probe import Medium, Probe, parameters, random_probe
from edgerecon.workshop.data.simulate.scene import MARGIN, Scene, random_scene

SIZE = 256
ANGLES = (1, 3, 7, 31)
NAMES = ("pw1", "pw3", "pw7", "pw31", "clean", "expected")
DENSITY = 5.0  # scatterers per square wavelength, five or six in a resolution cell; their strength does not vary
FRAME_PERIOD = 1 / 30
MEAN_DISPLAY = 10 ** ((10 / math.log(10) * -float(np.euler_gamma) - 20 * math.log10(RAYLEIGH_MEAN)) / 20)
"""Envelope shown at the mean grey level of speckle, over the mean envelope: a logarithm's mean is 1.46 dB lower."""


@dataclass(frozen=True)
class Acquisition:
    """Everything that is random about one sample besides the scene."""

    probe: Probe
    medium: Medium
    grid: Grid
    receive: Receive
    max_angle: float  # radians
    noise: float  # electronic noise of one element and angle, relative to the echo's median magnitude
    dynamic_range_db: float
    headroom_db: float  # from the brightest percentile of the speckle-free image to white
    gain_slope_db: float  # error of the depth-gain compensation, top to bottom


def random_acquisition(rng: np.random.Generator) -> Acquisition:
    """Draw probe, medium, field of view, beamforming and display settings."""
    speed = float(rng.uniform(1480, 1580))
    medium = Medium(speed, float(rng.uniform(0.2, 0.9)))
    probe = random_probe(rng, speed)
    wavelength = medium.wavelength(probe)
    spacing = min(float(rng.uniform(0.24, 0.36)) * wavelength, probe.elements * probe.pitch / (1.05 * SIZE))
    grid = Grid(SIZE, spacing, float(rng.uniform(6, 30)) * wavelength)
    receive = Receive(
        f_number=float(rng.uniform(1.2, 2.2)),
        apodisation=str(rng.choice(["hann", "tukey", "boxcar"], p=[0.6, 0.3, 0.1])),
        sound_speed=speed * float(rng.uniform(0.985, 1.015)),
    )
    return Acquisition(
        probe,
        medium,
        grid,
        receive,
        max_angle=math.radians(float(rng.uniform(8, 16))),
        noise=float(10 ** (rng.uniform(-34, 0) / 20)),
        dynamic_range_db=float(rng.uniform(48, 70)),
        headroom_db=float(rng.uniform(0, 12)),
        gain_slope_db=float(rng.uniform(-6, 6)),
    )


def diffuse_scatterers(
    scene: Scene, shot: Acquisition, seconds: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """One draw of the diffuse scatterers at a time: x and y in image sides, and ±σ strengths."""
    side = shot.grid.size * shot.grid.spacing / shot.medium.wavelength(shot.probe)
    count = int(DENSITY * (side * (1 + 2 * MARGIN)) ** 2)
    x = rng.uniform(-0.5 - MARGIN, 0.5 + MARGIN, count)
    y = rng.uniform(-MARGIN, 1 + MARGIN, count)
    sign = rng.integers(0, 2, count) * 2.0 - 1.0
    strength = scene.strength(x, y) / math.sqrt(DENSITY)
    strong = strength > 10 ** (-60 / 20)
    x, y = scene.move(x[strong], y[strong], seconds)
    return x, y, (sign * strength)[strong]


def placed(
    shot: Acquisition, x: NDArray[np.float64], y: NDArray[np.float64], strength: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Positions in metres, sorted by depth, nothing above the array; strengths."""
    side = shot.grid.size * shot.grid.spacing
    depth = shot.grid.depth + (y * shot.grid.size - 0.5) * shot.grid.spacing  # y = 0 is the upper edge of row 0
    depth *= shot.medium.sound_speed / shot.receive.sound_speed
    order = np.argsort(depth, kind="stable")
    order = order[depth[order] > 0.25 * shot.medium.wavelength(shot.probe)]
    return x[order] * side, depth[order], strength[order].astype(np.float32)


def depth_gain(shot: Acquisition) -> NDArray[np.float64]:
    """Depth-gain compensation of each row: undoes the mean attenuation up to 40 dB, with the operator's error."""
    depth = shot.grid.z
    _, peak = shot.medium.downshift(shot.probe, 2 * depth)
    slope = np.linspace(-0.5, 0.5, depth.size) * shot.gain_slope_db
    return np.asarray(np.minimum(peak[0] / peak, 100.0) * np.sqrt(depth / depth[0]) * 10 ** (slope / 20))[:, None]


def log_compress(envelope: NDArray[np.floating], reference: float, dynamic_range_db: float) -> NDArray[np.uint8]:
    """B-mode in 8 bits: ``reference`` is white, ``dynamic_range_db`` below it is black."""
    db = 20 * np.log10(np.maximum(envelope / reference, 1e-9))
    return np.asarray(np.clip(np.rint(255 * (1 + db / dynamic_range_db)), 0, 255), np.uint8)


def simulate_sample(
    seed: int, index: int, frames: int = 1
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, float | str]]:
    """Simulate one sample.

    Args:
        seed, index: fix everything random about it.
        frames: length of the sequence, at 30 frames a second.

    Returns:
        Images by name, uint8 (256, 256) or (frames, 256, 256): "pw1", "pw3", "pw7" and "pw31" (plane-wave compounds of
        one speckle realisation), "clean" (the mean envelope over all realisations of the same tissue) and "expected"
        (where speckle's mean grey level lies, the target that keeps a scanner's brightness); and the parameters, with
        "spacing_mm".
    """
    rng = np.random.default_rng([seed, index])
    scene, shot = random_scene(rng), random_acquisition(rng)
    draw_seed, noise_seed = rng.integers(0, 2**63, 2)
    noise_rng = np.random.default_rng(noise_seed)
    angles = steering_angles(ANGLES[-1], shot.max_angle)
    beamform = functools.partial(
        beamform_scatterers,
        probe=shot.probe,
        medium=shot.medium,
        grid=shot.grid,
        receive=shot.receive,
        angles=angles,
    )
    psfs = point_spread(shot.probe, shot.medium, shot.grid, shot.receive, angles)
    area = np.float32((shot.grid.spacing / shot.medium.wavelength(shot.probe)) ** 2)
    margin = int(MARGIN * SIZE)
    gain = depth_gain(shot)
    reference = 0.0
    sequence: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in NAMES}
    for t in range(frames):
        seconds = t * FRAME_PERIOD
        diffuse = diffuse_scatterers(scene, shot, seconds, np.random.default_rng(draw_seed))
        x, y = scene.move(scene.wires[:, 0], scene.wires[:, 1], seconds)
        points = x, y, 10 ** (scene.wires[:, 2] / 20)
        tissue = placed(shot, *(np.concatenate(pair) for pair in zip(diffuse, points, strict=True)))
        iq = beamform(*tissue, prefixes=ANGLES, noise=shot.noise, rng=noise_rng)
        wires = np.abs(beamform(*placed(shot, *points), prefixes=ANGLES[-1:])[0]) if x.size else None
        clean = expected_envelope(scene.power(SIZE, margin, seconds) * area, margin, psfs, wires) * gain
        reference = reference or float(np.percentile(clean, 99)) * 10 ** (shot.headroom_db / 20)
        for name, envelope in zip(sequence, [*(np.abs(iq) * gain), clean, MEAN_DISPLAY * clean], strict=True):
            sequence[name].append(log_compress(envelope, reference, shot.dynamic_range_db))
    spacing = shot.grid.spacing * 1e3
    facts: dict[str, float | str] = {
        "spacing_mm": spacing,
        "max_angle_deg": math.degrees(shot.max_angle),
        "noise": shot.noise,
        "dynamic_range_db": shot.dynamic_range_db,
        "headroom_db": shot.headroom_db,
        "depth_mm": shot.grid.depth * 1e3,
        **{f"receive_{k}": v for k, v in asdict(shot.receive).items()},
        **parameters(shot.probe, shot.medium),
        **scene.parameters,
    }
    return {name: np.stack(images) if frames > 1 else images[0] for name, images in sequence.items()}, facts
