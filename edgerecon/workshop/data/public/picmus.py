"""PICMUS and other plane-wave recordings in the Ultrasound File Format (UFF, USTB; Rodriguez-Molares et al., IUS 2018).

Channel data of plane waves are beamformed by delay-and-sum over all angles (see ``simulate.plane_wave``); beamformed
data on a linear scan are taken as they are. Either becomes B-mode, 60 dB below the brightest pixel of all frames being
black. A recording is a subject of its own, and so is the phantom or person in it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError, needed
from edgerecon.workshop.data.public.subject import Entry, Subject, natural, reading, to_range

DYNAMIC_RANGE_DB = 60.0
F_NUMBER = 1.75
"""The F-number of receive, as in the PICMUS challenge (Liebgott et al., IUS 2016)."""
COLUMNS = 384
FIRST_ROW = 5e-3
"""Metres; above it is the transmitted pulse."""
_CLASSES = {"uff.channel_data": "channel", "uff.beamformed_data": "beamformed"}


def find(path: Path) -> list[Entry]:
    """Channel or beamformed data in ``path``, or in the .uff files of a folder and those below."""
    files = [path] if path.is_file() else sorted(path.rglob("*.uff"), key=natural)
    return [
        Entry(f"{file.stem}/{key}", file.stem, partial(_read, file, key, kind))
        for file in files
        if file.suffix.lower() == ".uff"
        for key, kind in _contents(file).items()
    ]


def _contents(path: Path) -> dict[str, str]:
    """Name in the file → "channel" or "beamformed"."""
    with needed("train", "h5py"):
        import h5py
    with reading(path), h5py.File(path, "r") as file:
        classes = {key: _text(file[key].attrs.get("class", b"")) for key in file}
    return {key: _CLASSES[name] for key, name in classes.items() if name in _CLASSES}


def _text(value: Any) -> str:
    """MATLAB writes a class's name as bytes, Python as text or as an array of it."""
    value = value.flat[0] if isinstance(value, np.ndarray) and value.size else value
    return value.decode() if isinstance(value, bytes) else str(value)


def _read(path: Path, key: str, kind: str) -> Subject:
    with needed("train", "pyuff-ustb"):
        from pyuff_ustb import Uff
    with reading(path):
        found = Uff(str(path)).read(key)
        envelope = _beamform(found, path) if kind == "channel" else _scan_converted(found, path)
    peak = float(envelope.max())
    if not np.isfinite(peak) or peak <= 0:
        raise DataError(f"{path} holds no echo in '{key}'")
    db = 20 * np.log10(np.maximum(envelope / peak, 1e-9))
    return Subject(f"{path.stem}/{key}", path.stem, to_range(db, -DYNAMIC_RANGE_DB, 0.0))


def _scan_converted(found: Any, path: Path) -> NDArray[np.float64]:
    """Magnitudes (frames, H, W); the scan's pixels run down the columns first."""
    across, down = (np.size(getattr(found.scan, axis, ())) for axis in ("x_axis", "z_axis"))
    data = np.asarray(found.data)
    axes = [axis for axis, size in enumerate(data.shape) if size == across * down]
    if not axes:
        raise DataError(f"{path}: beamformed data {data.shape} do not fit a linear scan of {down}×{across}")
    images = np.moveaxis(data, axes[0], -1).reshape(-1, across, down)
    return np.abs(images).transpose(0, 2, 1)


def _beamform(found: Any, path: Path) -> NDArray[np.float64]:
    """Envelopes (frames, H, W) on square pixels as wide as the aperture, over all its depth."""
    from pyuff_ustb import Wavefront

    waves = found.sequence if isinstance(found.sequence, list) else [found.sequence]
    if any(wave.wavefront != Wavefront.plane for wave in waves):
        raise DataError(f"{path} holds waves that are not plane: they are not beamformed")
    angles = np.array([float(wave.source.azimuth) for wave in waves])
    delays = np.array([float(wave.delay or 0) for wave in waves])
    data = np.asarray(found.data)
    data = data.reshape(*data.shape[:2], len(waves), -1)  # (time, elements, waves, frames)
    rate, speed, start = (float(x) for x in (found.sampling_frequency, found.sound_speed, found.initial_time))
    elements = np.asarray(found.probe.geometry, np.float64)
    elements = (elements if elements.shape[0] == 7 else elements.T)[0]
    if data.shape[1] != elements.size:
        raise DataError(f"{path}: {data.shape[1]} channels do not fit a probe of {elements.size} elements")
    deepest = (start + data.shape[0] / rate) * speed / 2
    spacing = float(np.ptp(elements)) / (COLUMNS - 1)
    x = np.linspace(elements.min(), elements.max(), COLUMNS)
    z = np.arange(min(FIRST_ROW, 0.2 * deepest), 0.95 * deepest, spacing)
    carrier = float(found.modulation_frequency or 0)
    images = []
    for frame in range(data.shape[3]):
        signal, carrier = to_baseband(data[..., frame].transpose(1, 2, 0), rate, start, carrier)
        images.append(np.abs(delay_and_sum(signal, elements, angles, start + delays, rate, carrier, speed, x, z)))
    return np.stack(images)


def to_baseband(
    signal: NDArray[Any], rate: float, start: float, carrier: float = 0.0
) -> tuple[NDArray[np.complex64], float]:
    """RF (…, time) to IQ and its carrier in Hz, the centre of its spectrum; IQ, which has a carrier, stays as it is."""
    if carrier:
        return signal.astype(np.complex64), carrier
    spectrum = np.fft.fft(signal.real, axis=-1)
    frequencies = np.fft.fftfreq(signal.shape[-1], 1 / rate)
    spectrum[..., frequencies < 0] = 0
    power = (np.abs(spectrum) ** 2).reshape(-1, frequencies.size).sum(0)
    carrier = float((power * frequencies).sum() / max(power.sum(), 1e-300))
    time = start + np.arange(signal.shape[-1]) / rate
    return np.asarray(2 * np.fft.ifft(spectrum, axis=-1) * np.exp(-2j * np.pi * carrier * time), np.complex64), carrier


def delay_and_sum(
    signal: NDArray[np.complex64],
    elements: NDArray[np.float64],
    angles: NDArray[np.float64],
    starts: NDArray[np.float64],
    rate: float,
    carrier: float,
    speed: float,
    x: NDArray[np.float64],
    z: NDArray[np.float64],
) -> NDArray[np.complex64]:
    """Compound of all plane waves, complex64 (z, x), Hann window on receive.

    Args:
        signal: IQ, (elements, angles, time). elements: lateral positions in metres. angles: in radians.
        starts: time of the first sample of each wave after it passes the origin, seconds. rate, carrier: Hz.
        speed: m/s. x, z: columns and rows in metres.
    """
    from edgerecon.workshop.data.simulate import kernels
    from edgerecon.workshop.data.simulate.plane_wave import half_window

    single = np.float32
    wave_number = 2 * np.pi * carrier / speed
    image = np.zeros((1, z.size, x.size), np.complex64)
    for angle, start, one in zip(angles, starts, signal.transpose(1, 0, 2), strict=True):
        sine, cosine = np.array([np.sin(angle)]), np.array([np.cos(angle)])
        phase_x = np.exp(1j * wave_number * sine[:, None] * x).astype(np.complex64)
        phase_z = np.exp(1j * wave_number * cosine[:, None] * z).astype(np.complex64)
        for position, echo in zip(elements, np.ascontiguousarray(one), strict=True):
            kernels.delay_and_sum(
                single(position),
                x.astype(single),
                z.astype(single),
                sine.astype(single),
                cosine.astype(single),
                phase_x,
                phase_z,
                single(wave_number),
                single(rate / speed),
                single(start * rate),
                single(F_NUMBER),
                half_window("hann"),
                np.array([1, 0], np.int64),
                echo[None],
                image,
            )
    return image[0]
