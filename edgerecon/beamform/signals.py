"""From samples to the rows that are summed: RF to IQ with decimation or up-sampling, analytic signals, 16 bits.

RF is mixed down and filtered in one polyphase filter. With f the carrier over the sampling rate, h a low pass (Kaiser
window) and t the time of an output in samples of the input,

    iq(t) = exp(−2πi f t) · Σₙ s[n] · 2 h(t − n) · exp(2πi f (t − n))

Bandpass sampling (below twice the carrier) comes out right, as long as the band and its mirror image lie apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform.acquisition import Acquisition, mirror_hz

Complex = NDArray[np.complex64]

_IQ_RATE = 3.0  # samples a carrier period at least that IQ is up-sampled to, so that linear interpolation is good
_RATE = 2.0  # of what RF is mixed down to: its filter makes good what linear interpolation takes
_SHARPENING = 0.1
_PASS, _TRANSITION = 0.8, 0.8  # of half-way to the mirror image: −6 dB point and width of the low pass
_NEARLY = 1e-3  # of a sampling rate: 4.9999 samples a period are 5
_ATTENUATION_DB = 60.0
_HALF_AT_MOST = 256  # taps


@dataclass(frozen=True)
class Filter:
    """RF to IQ.

    Attributes:
        phases: outputs an input sample (up-sampling). step: input samples an output (decimation). One of them is 1.
        half: input samples before the one that an output's time lies at or behind, that its first tap sees.
        taps: (phases, K) complex. turn: (samples,) exp(−2πi f t) of every output.
        samples, sample_rate_hz: that come out.
    """

    phases: int
    step: int
    half: int
    taps: NDArray[np.complex128]
    turn: NDArray[np.complex128]
    sample_rate_hz: float

    @property
    def samples(self) -> int:
        """Number of samples that the filter gives."""
        return self.turn.size


def design(acquisition: Acquisition, carrier_hz: float) -> Filter:
    """The filter that mixes an acquisition's RF down."""
    rate = acquisition.sample_rate_hz
    phases = max(1, math.ceil(_RATE * carrier_hz / rate - _NEARLY))
    step = max(1, math.floor(rate / (_RATE * carrier_hz) + _NEARLY)) if phases == 1 else 1
    half_way = mirror_hz(carrier_hz, rate) / rate / 2
    beta = 0.1102 * (_ATTENUATION_DB - 8.7)
    half = math.ceil((_ATTENUATION_DB - 8) / (2.285 * 2 * math.pi * _TRANSITION * half_way) / 2)
    half = min(half, _HALF_AT_MOST, acquisition.samples)
    at = np.arange(phases)[:, None] / phases + half - np.arange(2 * half + 1)  # t − n of every tap
    window = np.i0(beta * np.sqrt(np.maximum(0, 1 - (at / (half + 1)) ** 2))) / np.i0(beta)
    low_pass = _sharpened(2 * _PASS * half_way, at, step / phases) * window
    low_pass /= low_pass.sum(1, keepdims=True)
    cycles = carrier_hz / rate
    time = np.arange(acquisition.samples * phases // step) * (step / phases)
    taps = _without_dust(2 * low_pass * np.exp(2j * np.pi * cycles * at))
    return Filter(phases, step, half, taps, np.exp(-2j * np.pi * cycles * time), rate * phases / step)


def _without_dust(taps: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Parts that are 0 but for rounding as 0, which the kernels leave out."""
    least = 1e-9 * np.abs(taps).max()
    real, imag = (np.where(np.abs(part) < least, 0.0, part) for part in (taps.real, taps.imag))
    return np.asarray(real + 1j * imag)


def _sharpened(width: float, at: NDArray[np.float64], spacing: float) -> NDArray[np.float64]:
    """A low pass whose gain rises as linear interpolation's mean gain falls, outputs lying ``spacing`` samples apart.

    At ω radians an output and a part u of the way to the next, interpolation's gain is √(1 − 2u(1 − u)(1 − cos ω)), in
    the mean 1 − (1 − cos ω) / 6 to first order. Twice ``_SHARPENING`` is a little more: better at the band's edge.
    """
    near = np.sinc(width * (at - spacing)) + np.sinc(width * (at + spacing))
    return np.asarray((1 + 2 * _SHARPENING) * np.sinc(width * at) - _SHARPENING * near)


def demodulate(signals: NDArray[np.generic], filter: Filter) -> Complex:
    """(…, S) real RF → (…, filter.samples) complex IQ, whose phase is 0 at the first sample."""
    found = np.zeros((*signals.shape[:-1], filter.samples), np.complex64)
    count = -(-filter.samples // filter.phases)
    padded = np.zeros((*signals.shape[:-1], (count - 1) * filter.step + 2 * filter.half + 1), np.float32)
    inside = min(signals.shape[-1], padded.shape[-1] - filter.half)
    padded[..., filter.half : filter.half + inside] = signals[..., :inside]
    for phase, taps in enumerate(filter.taps.astype(np.complex64)):
        out = found[..., phase :: filter.phases]
        for number, tap in enumerate(taps):
            out += tap * padded[..., number :: filter.step][..., : out.shape[-1]]
    found *= filter.turn.astype(np.complex64)
    return found


def upsampled(iq: NDArray[np.generic], times: int) -> Complex:
    """Complex (…, S) → (…, times · S), by zeros behind its spectrum."""
    if times == 1:
        return np.ascontiguousarray(iq, np.complex64)
    samples = iq.shape[-1]
    spectrum = np.fft.fft(iq)
    band = np.zeros((*iq.shape[:-1], times * samples), np.complex64)
    half = (samples + 1) // 2
    band[..., :half] = spectrum[..., :half]
    band[..., band.shape[-1] - (samples - half) :] = spectrum[..., half:]
    return np.ascontiguousarray(np.fft.ifft(band) * times, np.complex64)


def upsampling(acquisition: Acquisition) -> int:
    """How many times IQ has to be up-sampled for linear interpolation to be good."""
    return max(1, math.ceil(_IQ_RATE * acquisition.carrier_hz / acquisition.sample_rate_hz - _NEARLY))


def centre_hz(signals: NDArray[np.generic], sample_rate_hz: float) -> float:
    """Centre of the power spectrum of RF (…, S); 0 where there is no echo."""
    power = np.square(np.abs(np.fft.rfft(signals))).reshape(-1, signals.shape[-1] // 2 + 1).sum(0)
    power[0] = 0.0  # a constant offset is no echo
    whole = float(power.sum())
    if not whole > 0 or not np.isfinite(whole):
        return 0.0
    return float((power * np.arange(power.size)).sum() / whole) * sample_rate_hz / signals.shape[-1]
