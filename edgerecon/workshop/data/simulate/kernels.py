# mypy: disable-error-code="no-untyped-def"
"""The loops of the simulator: deposit echoes, apply the pulse, delay and sum, whole or by parts of the aperture.

All arrays are float32 or complex64 and C-contiguous; lengths are in metres, times in samples. ``tx_delay`` and
``tx_phase`` are (scatterers, angles); ``phase_x`` (angles, columns) and ``phase_z`` (angles, rows) undo the carrier.
"""

import numba
import numpy as np

jit = numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")


@jit
def echo_gain(dx, z, wave_number, width):
    """One-way delay (as distance) and complex gain from a scatterer to an element; gain 0 beyond 60° off axis."""
    r = np.sqrt(dx * dx + z * z)
    cosine = z / r
    if cosine < 0.5:
        return r, np.complex64(0)
    u = np.float32(np.pi) * width * dx / r
    sinc = np.float32(1) - u * u / np.float32(6) if abs(u) < 1e-2 else np.sin(u) / u
    gain = sinc * cosine / np.sqrt(r)
    phase = wave_number * r
    return r, np.complex64(complex(gain * np.cos(phase), -gain * np.sin(phase)))


@jit
def lagrange(f):
    """Weights of the samples −1, 0, 1, 2 for a time f ∈ [0, 1) after sample 0."""
    one, half, sixth = np.float32(1), np.float32(0.5), np.float32(1 / 6)
    fm, fp, f2 = f - one, f + one, f - one - one
    return -f * fm * f2 * sixth, fp * fm * f2 * half, -fp * f * f2 * half, fp * f * fm * sixth


@jit
def deposit(xe, x, z, amplitude, tx_delay, tx_phase, wave_number, per_metre, start, width, echo):
    """Add every scatterer's echo at one element to ``echo``, complex (angles, time)."""
    angles, times = echo.shape
    for s in range(x.size):
        r, gain = echo_gain(x[s] - xe, z[s], wave_number, width)
        if gain == 0:
            continue
        gain = gain * amplitude[s]
        rx_delay = r * per_metre - start
        for a in range(angles):
            t = tx_delay[s, a] + rx_delay
            i = int(t)
            if i < 1 or i + 2 >= times:
                continue
            g = gain * tx_phase[s, a]
            w0, w1, w2, w3 = lagrange(t - np.float32(i))
            n = np.uintp(i)
            row = echo[a]
            row[n - np.uintp(1)] += w0 * g
            row[n] += w1 * g
            row[n + np.uintp(1)] += w2 * g
            row[n + np.uintp(2)] += w3 * g


@jit
def apply_pulse(echo, pulse, signal):
    """Filter ``echo`` (angles, T) by the pulse of each arrival time (T, taps) onto ``signal`` (angles, 2T)."""
    angles, times = echo.shape
    taps = pulse.shape[1]
    signal[:] = 0
    for a in range(angles):
        row = signal[a]
        for m in range(taps, times - taps):
            source = echo[a, m]
            first = np.uintp(2 * m - taps // 2)
            for j in range(taps):
                row[first + np.uintp(j)] += pulse[m, j] * source


@jit
def delay_and_sum(
    xe,
    grid_x,
    grid_z,
    sines,
    cosines,
    phase_x,
    phase_z,
    wave_number,
    per_metre,
    start,
    f_number,
    window,
    prefixes,
    signal,
    image,
):
    """Add one element's part to ``image`` (prefixes, rows, columns); prefix p is the sum of the first angles."""
    angles, times = signal.shape
    for row in range(grid_z.size):
        half = grid_z[row] / (2 * f_number)
        for column in range(grid_x.size):
            dx = grid_x[column] - xe
            if abs(dx) >= half:
                continue
            r = np.sqrt(dx * dx + grid_z[row] * grid_z[row])
            weight = window[int(abs(dx) / half * np.float32(window.size - 1))]
            phase = wave_number * r
            rx_phase = np.complex64(complex(weight * np.cos(phase), weight * np.sin(phase)))
            total = np.complex64(0)
            done = 0
            for a in range(angles):
                t = (grid_x[column] * sines[a] + grid_z[row] * cosines[a] + r) * per_metre - start
                i = int(t)
                if i >= 0 and i + 1 < times:
                    f = t - np.float32(i)
                    n = np.uintp(i)
                    value = (np.float32(1) - f) * signal[a, n] + f * signal[a, n + np.uintp(1)]
                    total += value * (phase_x[a, column] * phase_z[a, row])
                if a + 1 == prefixes[done]:
                    image[done, row, column] += total * rx_phase
                    done += 1


@jit
def delay_and_split(xe, grid_x, grid_z, wave_number, per_metre, start, f_number, signal, image):
    """Add one element's part to ``image`` (parts, rows, columns), in the part of each pixel's aperture that it lies in;
    one wave at 0°."""
    parts, times = image.shape[0], signal.shape[1]
    for row in range(grid_z.size):
        z = grid_z[row]
        half = z / (2 * f_number)
        for column in range(grid_x.size):
            dx = grid_x[column] - xe
            if abs(dx) >= half:
                continue
            r = np.sqrt(dx * dx + z * z)
            t = (z + r) * per_metre - start
            i = int(t)
            if i >= 0 and i + 1 < times:
                f = t - np.float32(i)
                n = np.uintp(i)
                phase = wave_number * (z + r)
                turn = np.complex64(complex(np.cos(phase), np.sin(phase)))
                part = min(int((dx / half + np.float32(1)) * np.float32(0.5 * parts)), parts - 1)
                value = (np.float32(1) - f) * signal[0, n] + f * signal[0, n + np.uintp(1)]
                image[part, row, column] += value * turn
