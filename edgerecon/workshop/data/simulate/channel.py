"""One sample of channel data: the parts of the aperture after one wave, and the picture compounded from 31.

The input is what a scanner has: one plane wave at 0° through an aberrating layer, elements that differ or are dead,
noise, a speed of sound that is assumed wrongly. The target is what it should have shown: 31 waves of the same
scatterers, without any of that. Each part is the sum over an eighth of the pixel's aperture (see
``edgerecon.beamform``), so that the parts add up to delay-and-sum.

Aberration: a smooth random delay along the probe (Mallart & Fink, J. Acoust. Soc. Am. 96(6), 1994), 0 to 60 ns RMS.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from edgerecon.workshop.data.simulate import kernels
from edgerecon.workshop.data.simulate.plane_wave import (
    F32,
    OVERSAMPLE,
    ElementEchoes,
    Grid,
    Receive,
    Screen,
    beamform_scatterers,
    steering_angles,
)
from edgerecon.workshop.data.simulate.probe import Medium, Probe, parameters, random_probe
from edgerecon.workshop.data.simulate.sample import (
    ANGLES,
    Acquisition,
    depth_gain,
    diffuse_scatterers,
    log_compress,
    placed,
)
from edgerecon.workshop.data.simulate.scene import random_scene

SIZE = 128
PARTS = 8
F_NUMBER = 1.25
"""The F-number of the aperture that is split."""
RANGE_DB = 60.0
"""The dynamic range of the target, in dB."""
_ABERRATION_S = 60e-9
_DEAD = 0.02


def random_channel_acquisition(rng: np.random.Generator) -> Acquisition:
    """Probe, medium and place of a small picture, anywhere below the probe."""
    speed = float(rng.uniform(1470, 1580))
    medium = Medium(speed, float(rng.uniform(0.2, 0.9)))
    probe = dataclasses.replace(random_probe(rng, speed), elements=int(rng.choice([64, 96, 128, 192])))
    wavelength = medium.wavelength(probe)
    spacing = float(rng.uniform(0.25, 0.5)) * wavelength
    grid = Grid(SIZE, spacing, float(np.exp(rng.uniform(np.log(12), np.log(110)))) * wavelength)
    wrong = float(rng.uniform(0.98, 1.02)) if rng.random() < 0.75 else 1.0
    noise = float(10 ** (rng.uniform(-40, 3) / 20))
    return Acquisition(
        probe=probe,
        medium=medium,
        grid=grid,
        receive=Receive(F_NUMBER, "boxcar", speed * wrong),
        max_angle=math.radians(16),
        noise=noise,
        dynamic_range_db=RANGE_DB,
        headroom_db=float(rng.uniform(0, 8)),
        gain_slope_db=0.0,
    )


def random_screen(rng: np.random.Generator, probe: Probe) -> Screen:
    """No aberration in a sixth of the scenes, else a smooth delay of 1 to 6 mm correlation length."""
    delay = gaussian_filter1d(rng.standard_normal(3 * probe.elements), float(rng.uniform(1e-3, 6e-3)) / probe.pitch / 2)
    delay = delay[probe.elements : 2 * probe.elements]
    delay = (delay - delay.mean()) / max(float(delay.std()), 1e-12)
    strength = _ABERRATION_S * float(rng.uniform(0, 1)) if rng.random() < 5 / 6 else 0.0
    # What is a whole wavelength off cannot be learnt to be set right: high carriers see thinner layers.
    delay *= min(strength, 0.2 / probe.centre_frequency)
    gain = np.maximum(0.0, 1 + 0.1 * rng.standard_normal(probe.elements))
    gain[rng.random(probe.elements) < _DEAD * rng.random()] = 0
    return Screen(delay, gain)


def simulate_sample(seed: int, index: int) -> tuple[dict[str, NDArray[np.generic]], dict[str, float | str]]:
    """Simulate one sample.

    Returns:
        "parts", float16 (2 · PARTS, SIZE, SIZE): real parts, then imaginary parts, of the sums over each part of the
        aperture, 1 being white of the target; "pw31", uint8 (SIZE, SIZE): the target, ``RANGE_DB`` below white being
        black; and the parameters.
    """
    rng = np.random.default_rng([seed, index, 3])
    scene, shot = random_scene(rng), random_channel_acquisition(rng)
    screen = random_screen(rng, shot.probe)
    diffuse_rng, noise_rng = rng.spawn(2)
    diffuse = diffuse_scatterers(scene, shot, 0.0, diffuse_rng)
    points = scene.wires[:, 0], scene.wires[:, 1], 10 ** (scene.wires[:, 2] / 20)
    tissue = [np.concatenate(pair) for pair in zip(diffuse, points, strict=True)]
    gain = depth_gain(shot)
    ideal = dataclasses.replace(shot, receive=Receive(F_NUMBER, "hann", shot.medium.sound_speed))
    place = shot.probe, shot.medium, shot.grid
    angles = steering_angles(ANGLES[-1], shot.max_angle)
    target = beamform_scatterers(*placed(ideal, *tissue), *place, ideal.receive, angles, ANGLES[-1:])[0]
    target = np.abs(target) * gain
    white = float(np.percentile(target, 99.5)) * 10 ** (shot.headroom_db / 20)
    parts = split_scatterers(*placed(shot, *tissue), shot=shot, screen=screen, rng=noise_rng) * gain
    level = float(np.median(target) / max(float(np.median(np.abs(parts.sum(0)))), 1e-30))
    parts *= level / white
    planes = np.concatenate([parts.real, parts.imag]).astype(np.float16)
    facts: dict[str, float | str] = {
        "spacing_mm": shot.grid.spacing * 1e3,
        "noise": shot.noise,
        "depth_mm": shot.grid.depth * 1e3,
        "aberration_ns": float(screen.delay_s.std() * 1e9),
        **{f"receive_{k}": v for k, v in asdict(shot.receive).items()},
        **parameters(shot.probe, shot.medium),
        **scene.parameters,
    }
    return {"parts": planes, "pw31": log_compress(target, white, RANGE_DB)}, facts


def split_scatterers(
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    amplitude: NDArray[np.float32],
    shot: Acquisition,
    screen: Screen | None = None,
    rng: np.random.Generator | None = None,
) -> NDArray[np.complex64]:
    """Sums over each part of the aperture after one wave at 0°, complex64 (PARTS, size, size)."""
    probe, grid, receive = shot.probe, shot.grid, shot.receive
    image = np.zeros((PARTS, grid.size, grid.size), np.complex64)
    echoes = ElementEchoes(x, z, amplitude, probe, shot.medium, grid, np.zeros(1), screen)
    assumed = 2 * np.pi * probe.centre_frequency / receive.sound_speed
    per_metre = 2 * OVERSAMPLE * probe.centre_frequency / receive.sound_speed
    add = functools.partial(kernels.delay_and_split, grid_x=grid.x.astype(F32), grid_z=grid.z.astype(F32))
    for xe, signal in echoes.by_element(receive.f_number, shot.noise, rng):
        add(
            F32(xe),
            wave_number=F32(assumed),
            per_metre=F32(per_metre),
            start=F32(2 * echoes.start),
            f_number=F32(receive.f_number),
            signal=signal,
            image=image,
        )
    return image
