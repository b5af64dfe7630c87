"""Beamformers of one plane wave, judged by the field's measures on what compact-beamform was not trained on.

    edgerecon kernels build --cpu
    python bench/learned_beamforming.py --json bench/results/learned-beamforming.json

| set | |
|---|---|
| phantom | simulated by our own simulator: a geometry, scenes and seeds that no training saw |
| aberrated | the same scenes through an aberrating layer, 1.5 % wrong in the speed of sound, and noise |
| pymust | the same kind of scene, echoes by PyMUST (left out where it is not installed) |
| disk | a recording of a disk of speckle in water, in ../shared/ultrasound/channel (left out where it is not) |

| row | |
|---|---|
| das | delay-and-sum, Hann window, F/1.75: what `edgerecon beamform` does |
| das-wide | delay-and-sum over the aperture that the model is given: no window, F/1.25 |
| cf, mv | coherence factor, minimum variance, F/1.75 |
| compact-beamform | ours |
| das-31 | delay-and-sum of 31 plane waves over ±16°: what one wave is compared with |

Widths are −6 dB widths of wires in mm, gCNR that of anechoic cysts, `speckle_snr` 1.91 of Rayleigh speckle; means over
the phantoms with their bootstrap 95 % intervals, and so are the differences from das and das-wide, phantom by phantom.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Acquisition, Beamformer, CartesianGrid, Settings, linear_array, plane_wave
from edgerecon.beamform.detection import grey_levels
from edgerecon.hardware.device import host_profile
from edgerecon.measure.bootstrap import interval
from edgerecon.quality.evaluate.channel_data import measure_envelope
from edgerecon.quality.targets import Targets
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.channel.channel import ChannelSource
from edgerecon.stream.sources.channel.learned import LearnedBeamformer, find_beamformer
from edgerecon.workshop.data.simulate.channel import random_screen
from edgerecon.workshop.data.simulate.plane_wave import OVERSAMPLE, ElementEchoes, Screen
from edgerecon.workshop.data.simulate.plane_wave import Grid as SimulatedGrid
from edgerecon.workshop.data.simulate.probe import Medium, Probe

PROBE = Probe(5.208e6, 0.67, 0.3e-3, 0.27e-3, 128)
"""That of PICMUS, an L11-4v."""
SPEED, DENSITY = 1540.0, 4.0  # scatterers per square wavelength
ANGLES = np.radians(np.linspace(-16, 16, 31))
GRID = CartesianGrid(np.linspace(-12e-3, 12e-3, 201), np.linspace(12e-3, 40e-3, 241))
CYSTS = ((-6.0, 18.0, 2.5), (-5.0, 29.0, 3.0), (4.5, 35.0, 3.0))
WIRES = ((5.0, 16.0), (6.0, 23.0), (1.0, 25.0), (-1.0, 37.0))
SPECKLE = ((5.0, 29.0, 2.5),)
TARGETS = Targets(wires=WIRES, cysts=CYSTS, speckle=SPECKLE, given=True)
MODEL = "compact-beamform"
ROUNDS = 20
METHODS = {
    "das": Settings(),
    "das-wide": Settings(window="boxcar", f_number=1.25),
    "cf": Settings(method="cf"),
    "mv": Settings(method="mv"),
}
MEASURES = (
    "gcnr",
    "cnr",
    "contrast_db",
    "speckle_snr",
    "lateral_fwhm_mm",
    "axial_fwhm_mm",
    "side_lobe_db",
    "distortion_mm",
)
RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "ultrasound" / "channel"


@dataclass(frozen=True)
class Case:
    """Channel data of one wave, and of 31 of the same scene, without what was added, where there are any."""

    name: str
    acquisition: Acquisition
    signals: NDArray[np.complex64]
    targets: Targets
    many: tuple[Acquisition, NDArray[np.complex64]] | None = None
    grid: CartesianGrid = GRID


def tissue(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Speckle around anechoic cysts, and wires 34 dB above it: x, z in metres and amplitudes."""
    wavelength = SPEED / PROBE.centre_frequency
    x0, x1, z0, z1 = GRID.x_m[0] - 4e-3, GRID.x_m[-1] + 4e-3, GRID.z_m[0] - 1.5e-3, GRID.z_m[-1] + 1.5e-3
    count = int(DENSITY * (x1 - x0) * (z1 - z0) / wavelength**2)
    x, z = rng.uniform(x0, x1, count), rng.uniform(z0, z1, count)
    outside = np.all([np.hypot(x * 1e3 - cx, z * 1e3 - cz) > radius for cx, cz, radius in CYSTS], axis=0)
    x, z = x[outside], z[outside]
    wires = np.array(WIRES) * 1e-3
    strength = np.concatenate([rng.choice([-1.0, 1.0], x.size), np.full(len(wires), 50.0)])
    x, z = np.concatenate([x, wires[:, 0]]), np.concatenate([z, wires[:, 1]])
    order = np.argsort(z)
    return x[order], z[order], strength[order].astype(np.float32)


def echoes(
    scatterers: tuple[NDArray[Any], ...],
    angles: NDArray[np.float64],
    speed: float = SPEED,
    screen: Screen | None = None,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[Acquisition, NDArray[np.complex64]]:
    """IQ of plane waves in a medium of ``speed``, and their acquisition, which assumes ``SPEED``."""
    area = SimulatedGrid(2, float(np.ptp(GRID.z_m)), float(GRID.z_m[0]))
    simulated = ElementEchoes(*scatterers, PROBE, Medium(speed, 0.5), area, angles, screen)
    found = {float(x): signal.copy() for x, signal in simulated.by_element(0.5, noise, rng)}
    signals = np.stack([found[float(x)] for x in PROBE.element_x], 1)
    rate = 2 * OVERSAMPLE * PROBE.centre_frequency
    start = 2 * simulated.start / rate
    waves = tuple(plane_wave(float(angle), start) for angle in angles)
    made = Acquisition(
        linear_array(PROBE.elements, PROBE.pitch),
        waves,
        signals.shape[2],
        rate,
        PROBE.centre_frequency,
        SPEED,
        iq=True,
        first_sample_s=start,
    )
    return made, signals


def simulated(seed: int, aberrated: bool) -> Case:
    """One of our own phantoms."""
    rng = np.random.default_rng([seed, 77])
    scatterers = tissue(rng)
    many = echoes(scatterers, ANGLES)
    if not aberrated:
        made, signals = echoes(scatterers, np.zeros(1), noise=0.05, rng=rng)
        return Case(f"phantom {seed}", made, signals, TARGETS, many)
    screen = random_screen(rng, PROBE)
    while not screen.delay_s.any():  # one of six has no aberration
        screen = random_screen(rng, PROBE)
    delay = screen.delay_s / max(float(screen.delay_s.std()), 1e-12) * 25e-9
    speed = SPEED * 1.015
    x, z, strength = scatterers
    made, signals = echoes((x, z * 1.015, strength), np.zeros(1), speed, replace(screen, delay_s=delay), 0.3, rng)
    return Case(f"aberrated {seed}", made, signals, TARGETS, many)


def by_pymust(seed: int) -> Case | None:
    """A smaller phantom whose echoes PyMUST makes; None where it is not installed."""
    try:
        import pymust
    except ImportError:
        return None
    rng = np.random.default_rng([seed, 78])
    x, z, strength = tissue(rng)
    cyst = (1.0, 19.0, 2.0)
    near = (np.abs(x - 2e-3) < 7e-3) & (z > 13e-3) & (z < 24e-3)
    outside = near & (np.hypot(x * 1e3 - cyst[0], z * 1e3 - cyst[1]) > cyst[2])
    param = pymust.getparam("L11-5v")
    param.fs = 4 * param.fc
    rf, _ = pymust.simus(x[outside], z[outside], strength[outside], np.zeros((1, param.Nelements)), param)
    noisy = rf + 0.02 * float(np.sqrt(np.mean(rf**2))) * rng.standard_normal(rf.shape)
    made = Acquisition(
        linear_array(param.Nelements, param.pitch),
        (plane_wave(0.0),),
        rf.shape[0],
        param.fs,
        param.fc,
        param.c,
        iq=False,
    )
    targets = Targets(wires=((5.0, 16.0), (6.0, 23.0)), cysts=(cyst,), given=True)
    return Case(f"pymust {seed}", made, noisy.T[None].astype(np.float32), targets)


def rotating_disk() -> Case | None:
    """PyMUST's recording of a disk of speckle in water, one plane wave."""
    path = RECORDINGS / "PWI_disk.mat"
    if not path.exists():
        return None
    source = open_source(str(path))
    assert isinstance(source, ChannelSource)
    grid = CartesianGrid(np.linspace(-15e-3, 15e-3, 251), np.linspace(8e-3, 40e-3, 268))
    return Case(
        "disk",
        source.acquisition,
        np.asarray(source.read(0)),
        Targets(cysts=((-0.6, 22.6, 10.0),), given=True),
        grid=grid,
    )


def cases(phantoms: int, pymust: int) -> Iterator[tuple[str, Case]]:
    for seed in range(phantoms):
        yield "phantom", simulated(seed, aberrated=False)
        yield "aberrated", simulated(seed, aberrated=True)
    if (disk := rotating_disk()) is not None:
        yield "disk", disk
    for seed in range(pymust):
        if (case := by_pymust(seed)) is not None:
            yield "pymust", case


def pictures(case: Case) -> dict[str, NDArray[np.float32]]:
    """Row → envelope on ``GRID``."""
    found = {name: Beamformer(case.acquisition, case.grid, how)(case.signals) for name, how in METHODS.items()}
    file = find_beamformer(MODEL)
    own = Beamformer(case.acquisition, case.grid, Settings(window="boxcar", f_number=file.spec.f_number))
    found[MODEL] = LearnedBeamformer(own, file)(case.signals)
    if case.many is not None:
        found["das-31"] = Beamformer(case.many[0], case.grid, Settings())(case.many[1])
    return {name: np.abs(picture).astype(np.float32) for name, picture in found.items()}


def judged(case: Case) -> dict[str, dict[str, float]]:
    """Row → measures."""
    x_mm, z_mm = case.grid.x_m * 1e3, case.grid.z_m * 1e3
    found = {
        name: asdict(measure_envelope(one, x_mm, z_mm, case.targets, name)) for name, one in pictures(case).items()
    }
    return {name: {key: row[key] for key in MEASURES} for name, row in found.items()}


def summary(rows: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means with intervals, and what is gained over either delay-and-sum, phantom by phantom."""
    found: dict[str, Any] = {}
    for name in rows[0]:
        values = {key: [row[name][key] for row in rows] for key in MEASURES}
        found[name] = {key: interval(some) for key, some in values.items() if np.all(np.isfinite(some))}
        for other in ("das", "das-wide"):
            gained = [row[name]["gcnr"] - row[other]["gcnr"] for row in rows]
            wider = [row[name]["lateral_fwhm_mm"] / row[other]["lateral_fwhm_mm"] - 1 for row in rows]
            found[name] |= {f"gcnr_over_{other}": interval(gained), f"width_over_{other}": interval(wider)}
    return found


def speed() -> dict[str, float]:
    """Milliseconds of a 256×256 picture of one wave, echoes to amplitudes, best of a few."""
    made, signals = echoes(tissue(np.random.default_rng(0)), np.zeros(1))
    grid = CartesianGrid(np.linspace(-19e-3, 19e-3, 256), np.linspace(5e-3, 43e-3, 256))
    file = find_beamformer(MODEL)
    own = Beamformer(made, grid, Settings(window="boxcar", f_number=file.spec.f_number))
    runs = {"das": Beamformer(made, grid), MODEL: LearnedBeamformer(own, file)}
    found: dict[str, float] = {}
    for turn in range(ROUNDS + 1):
        for name, run in runs.items():
            wall, spent = time.perf_counter(), time.process_time()
            run(signals)
            took = {f"{name}_ms": time.perf_counter() - wall, f"{name}_cpu_ms": time.process_time() - spent}
            if turn:
                found |= {key: min(found.get(key, math.inf), 1e3 * value) for key, value in took.items()}
    return found | {"frames_per_s": 1e3 / found[f"{MODEL}_ms"]}


def write_picture(case: Case, path: Path) -> None:
    """Every row side by side, 60 dB below the 99.9th percentile of each."""
    shown = [grey_levels(one / np.float32(np.percentile(one, 99.9))) for one in pictures(case).values()]
    width = np.full((shown[0].shape[0], 4), 1, np.float32)
    strip = np.hstack([part for one in shown for part in (one, width)][:-1])
    cv2.imwrite(str(path), np.uint8(np.rint(255 * strip)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="PNG of one phantom and one aberrated")
    parser.add_argument("--phantoms", type=int, default=4)
    parser.add_argument("--pymust", type=int, default=2)
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    if options.picture:
        write_picture(simulated(0, aberrated=True), options.picture)
    rows: dict[str, list[dict[str, dict[str, float]]]] = {}
    for kind, case in cases(options.phantoms, options.pymust):
        rows.setdefault(kind, []).append(judged(case))
        print(case.name, {name: (row["gcnr"], row["lateral_fwhm_mm"]) for name, row in rows[kind][-1].items()})  # noqa: T201
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=30, check=False)
    result = {
        "command": "python bench/learned_beamforming.py --json bench/results/learned-beamforming.json",
        "date": date.today().isoformat(),
        "commit": commit.stdout.strip(),
        "host": host_profile(),
        "note": options.note,
        "load": os.getloadavg()[0],
        "speed": speed(),
        "sets": {kind: {"cases": len(some), "rows": summary(some)} for kind, some in rows.items()},
    }
    if options.json:
        options.json.write_text(json.dumps(_finite(result), indent=2) + "\n")


def _finite(value: Any) -> Any:
    """None in place of what is not a number."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
