"""Echoes become pictures: channel data, beamformed on the processor at hand. No torch.

    acquisition (probe, transmits, sampling) + grid + settings ──► Beamformer ──► complex picture ──► B-mode

Lengths are metres, times seconds, frequencies hertz, angles radians from the z axis towards x; names end in their unit.
x runs along the probe, z into the body; the wavefront of a transmit passes the origin at time 0.
"""

from edgerecon.beamform.acquisition import Acquisition
from edgerecon.beamform.beamformer import Beamformer
from edgerecon.beamform.detection import LogCompression, envelope
from edgerecon.beamform.geometry import Probe, curved_array, linear_array, phased_array
from edgerecon.beamform.grids import CartesianGrid, Grid, PolarGrid, default_grid, parse_grid
from edgerecon.beamform.settings import Settings
from edgerecon.beamform.transmits import (
    Transmit,
    diverging_wave,
    focused_wave,
    plane_wave,
    single_element,
    synthetic_aperture,
)

__all__ = [
    "Acquisition",
    "Beamformer",
    "CartesianGrid",
    "Grid",
    "LogCompression",
    "PolarGrid",
    "Probe",
    "Settings",
    "Transmit",
    "curved_array",
    "default_grid",
    "diverging_wave",
    "envelope",
    "focused_wave",
    "linear_array",
    "parse_grid",
    "phased_array",
    "plane_wave",
    "single_element",
    "synthetic_aperture",
]
