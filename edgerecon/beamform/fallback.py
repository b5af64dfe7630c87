"""Delay-and-sum in NumPy, where the CPU kernels are not built: the same job and numbers, many times slower."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.cpu.das import MARGIN, Job

Complex = NDArray[np.complexfloating]


class NumpyBeamformer:
    """What ``edgerecon.cpu.das.CpuBeamformer`` does, element by element on whole pictures.

    Rows are float32 or complex64 with margins of zeros; nothing is rounded to 16 bits. What is reckoned a frame is
    delays, weights and turns of every element: memory stays at a few pictures.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._x, self._z = (np.asarray(one, np.float32) for one in (job.x, job.z))
        self._transmit = np.asarray(job.transmit, np.float32)

    def rows(self) -> NDArray[Any]:
        """Memory for one frame's rows, (waves, elements, samples with margins)."""
        job = self._job
        shape = (len(job.transmit), job.element_x.size, job.samples + 2 * MARGIN + 1)
        return np.zeros(shape, np.complex64 if job.iq else np.float32)

    def load(self, signals: NDArray[Any], gain: float, rows: NDArray[Any]) -> None:
        """(waves, elements, samples), times ``gain``, as rows."""
        count = min(signals.shape[2], self._job.samples)
        rows[:] = 0
        np.multiply(signals[..., :count], np.float32(gain), out=rows[..., MARGIN : MARGIN + count])

    def run(self, rows: NDArray[Any], scale: float, out: NDArray[Any]) -> None:
        """(H, W) by the job's method."""
        total = np.zeros(self._job.shape, rows.dtype)
        energy, second = np.zeros(self._job.shape, np.float32), np.zeros(self._job.shape, np.complex64)
        for _, heard, signal in self._elements(rows):
            if self._job.method == "dmas":
                signal = signal / np.sqrt(np.maximum(np.abs(signal), np.float32(1e-15)))
                second += signal * signal
            elif self._job.method == "cf":
                energy += np.abs(signal) ** 2
                second += heard
            total += signal
        if self._job.method == "dmas":
            total = (total * total - second) / 2
        elif self._job.method == "cf":
            total = total * (np.abs(total) ** 2 / np.maximum(second.real * energy, np.float32(1e-30)))
        np.multiply(total, np.float32(scale), out=out)

    def aperture(self, rows: NDArray[Any], scale: float, first: int, out: NDArray[np.complex64]) -> None:
        """Rows of pixels from ``first`` on, (rows, W, elements)."""
        for element, _, signal in self._elements(rows, slice(first, first + len(out))):
            out[..., element] = signal * np.float32(scale)

    def split(self, rows: NDArray[Any], scale: float, out: NDArray[np.float32]) -> None:
        """Sums over each part of the aperture, (2 · parts, H, W): real parts, then imaginary parts."""
        out[:], count = 0, len(out) // 2
        for element, heard, signal in self._elements(rows):
            lateral, along = self._seen_from(element, self._x[heard], self._z[heard])
            part = np.floor((lateral * self._job.slope / along + 1) * (count / 2)).astype(np.int32)
            found, values = (np.clip(part, 0, count - 1), *np.nonzero(heard)), signal[heard] * np.float32(scale)
            out[:count][found] += values.real
            out[count:][found] += values.imag

    def batch(self, frames: Sequence[NDArray[Any]], scale: float, out: NDArray[Any]) -> None:
        """Frames' rows → (frames, H, W)."""
        for rows, picture in zip(frames, out, strict=True):
            self.run(rows, scale, picture)

    def _elements(
        self, rows: NDArray[Any], picture: slice = slice(None)
    ) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[Any]]]:
        """Number of an element, the pixels it hears, and its weighted signal compounded over the transmits."""
        job = self._job
        x, z = self._x[picture], self._z[picture]
        turns = [self._turn(wave, picture) for wave in range(len(job.transmit))]
        for element in range(job.element_x.size):
            weight, delay = self._weight_and_delay(element, x, z)
            heard = weight != 0
            if not heard.any():
                continue
            near = weight[heard].astype(rows.dtype)
            if job.iq:
                near *= _phasors(job.cycles * delay[heard])
            signal = np.zeros(x.shape, rows.dtype)
            for wave, turn in enumerate(turns):
                at = delay[heard] + self._transmit[wave][picture][heard]
                signal[heard] += _sampled(rows[wave, element], at, job.samples) * near * turn(heard)
            yield element, heard, signal

    def _weight_and_delay(self, element: int, x: NDArray[np.float32], z: NDArray[np.float32]) -> tuple[Any, Any]:
        job = self._job
        dx, dz = x - np.float32(job.element_x[element]), z - np.float32(job.element_z[element])
        weight = np.ones(x.shape, np.float32)
        if job.slope > 0:
            lateral, along = self._seen_from(element, x, z)
            lateral = np.abs(lateral) * np.float32(job.slope)
            part = (lateral / np.maximum(along, np.float32(1e-6)) - job.flat) / max(1 - job.flat, 1e-9)
            window = job.level + job.swing * np.cos(np.pi * np.clip(part, 0, 1))
            weight = np.where(lateral <= along, window, 0).astype(np.float32)
        return weight, np.hypot(dx, dz) + np.float32(job.element_lens[element])

    def _seen_from(self, element: int, x: NDArray[np.float32], z: NDArray[np.float32]) -> tuple[Any, Any]:
        """Pixels as an element sees them: across and along its normal."""
        job = self._job
        dx, dz = x - np.float32(job.element_x[element]), z - np.float32(job.element_z[element])
        cosine, sine = np.float32(job.element_cosine[element]), np.float32(job.element_sine[element])
        return dx * cosine - dz * sine, dx * sine + dz * cosine

    def _turn(self, wave: int, picture: slice) -> Callable[[NDArray[np.bool_]], Any]:
        job = self._job
        weight = job.transmit_weight[wave][picture] if job.transmit_weight is not None else np.float32(1)
        if not job.iq:
            return lambda heard: weight[heard] if isinstance(weight, np.ndarray) else weight
        turn = weight * _phasors(job.cycles * self._transmit[wave][picture] + job.turns[wave])
        return lambda heard: turn[heard]


def _phasors(turns: NDArray[np.floating]) -> Complex:
    """exp(2πi · turns)."""
    angle = 2 * np.pi * (turns - np.round(turns))
    return (np.cos(angle) + 1j * np.sin(angle)).astype(np.complex64)


def _sampled(row: NDArray[Any], at: NDArray[np.float32], samples: int) -> NDArray[Any]:
    """The row at fractional samples, linearly interpolated; 0 outside."""
    at = np.clip(np.nan_to_num(at, nan=samples), -MARGIN, samples) + np.float32(MARGIN)
    place = at.astype(np.int32)
    part = at - place
    return row[place] * (1 - part) + row[place + 1] * part
