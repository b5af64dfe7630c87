"""Beamforming judged by the field's measures (PICMUS, CUBDL) on one recording of channel data.

Contrast, CNR and gCNR of cysts, SNR of speckle and its distance from Rayleigh, widths and side lobes of wires in mm and
dB, and how far wires lie from where they are. Everything is measured on envelopes, nothing on grey levels.

Liebgott et al., IUS 2016; Hyun et al., IEEE TUFFC 68(12), 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError
from edgerecon.quality.measures.point_target import measure_point
from edgerecon.quality.measures.speckle import cnr, gcnr, speckle_snr
from edgerecon.quality.measures.speckle_distribution import rayleigh_test
from edgerecon.quality.picmus_phantom import phantom_beside, read_picmus_phantom
from edgerecon.quality.targets import Targets, find_targets, read_targets
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.channel.channel import ChannelSource
from edgerecon.stream.sources.query import with_options

Envelope = NDArray[np.floating]
_RING = (1.2, 2.0)  # the surroundings of a cyst, in its radii
_CORE = 0.8  # of a cyst: its edge is blurred
_SPECKLE_CELL_MM = 0.5  # a pixel of each is independent of the others


@dataclass(frozen=True)
class ChannelMeasures:
    """Means over the targets of one picture; nan where there are none of a kind.

    Attributes:
        method: of beamforming. wires, cysts, speckle: how many were measured.
        contrast_db: 20 log₁₀ of mean amplitude in a cyst over around it. cnr, gcnr: of envelopes.
        speckle_snr: 1.91 of fully developed speckle. ks_distance, ks_p: see ``speckle_distribution``.
        lateral_fwhm_mm, axial_fwhm_mm, side_lobe_db: of wires. distortion_mm: from given places; nan for found ones.
        form_ms: what the picture took.
    """

    method: str
    wires: int
    cysts: int
    speckle: int
    contrast_db: float
    cnr: float
    gcnr: float
    speckle_snr: float
    ks_distance: float
    ks_p: float
    lateral_fwhm_mm: float
    axial_fwhm_mm: float
    side_lobe_db: float
    distortion_mm: float
    form_ms: float = float("nan")


@dataclass
class ChannelEvaluation:
    """One recording: a row a method, and where it was measured."""

    source: str
    targets: Targets
    rows: list[ChannelMeasures] = field(default_factory=list)

    def to_json(self) -> Mapping[str, object]:
        """Plain values; what could not be measured is None."""
        rows = [{key: None if value != value else value for key, value in asdict(row).items()} for row in self.rows]
        return {"source": self.source, "targets": asdict(self.targets), "rows": rows}


def evaluate_channel_data(data: str, methods: Sequence[str], targets: Path | None = None) -> ChannelEvaluation:
    """Beamform a recording's first frame by each method and measure it.

    Args:
        data: as ``open_source`` takes it. methods: names of beamforming methods. targets: JSON in mm, or the file of a
            PICMUS phantom; default: the phantom that lies beside a data set of the challenge, else what is found on the
            picture of the first method.

    Raises:
        DataError: no channel data, a polar grid, or targets outside the picture. SourceError: it cannot be read.
    """
    given = _given(data, targets)
    result: ChannelEvaluation | None = None
    for method in methods:
        with closing(open_source(with_options(data, {"beamform": method}))) as source:
            if not isinstance(source, ChannelSource):
                raise DataError(f"{source.name} holds no channel data: give a model to judge pictures")
            x, z = source.form.beamformer.grid.points_m()
            if np.ptp(x, axis=0).max() > 0:
                raise DataError("measures in mm are taken on a Cartesian grid: leave polar away")
            formed, stages_ms = source.form.formed(np.asarray(source.read(0)))
            envelope, x_mm, z_mm = np.abs(formed), x[0] * 1e3, z[:, 0] * 1e3
            if result is None:
                result = ChannelEvaluation(source.name, given or find_targets(envelope, x_mm, z_mm))
        result.rows.append(measure_envelope(envelope, x_mm, z_mm, result.targets, method, sum(stages_ms.values())))
    assert result is not None
    return result


def _given(data: str, targets: Path | None) -> Targets | None:
    if targets is None:
        targets = phantom_beside(Path(data.partition("?")[0]))
    if targets is None:
        return None
    return read_picmus_phantom(targets) if targets.suffix.lower() in (".hdf5", ".h5") else read_targets(targets)


def measure_envelope(
    envelope: Envelope,
    x_mm: NDArray[np.floating],
    z_mm: NDArray[np.floating],
    targets: Targets,
    method: str = "",
    form_ms: float = float("nan"),
) -> ChannelMeasures:
    """The measures of one envelope (H, W) on columns ``x_mm`` and rows ``z_mm``.

    Raises:
        DataError: a target lies outside the picture, or holds too few pixels.
    """
    steps = float(np.ptp(z_mm)) / (z_mm.size - 1), float(np.ptp(x_mm)) / (x_mm.size - 1)
    across, down = np.meshgrid(x_mm, z_mm)
    cysts = [
        (_within(envelope, across, down, one, 0, _CORE), _within(envelope, across, down, one, *_RING))
        for one in targets.cysts
    ]
    plain = [_within(envelope, across, down, one, 0, 1) for one in targets.speckle] or [around for _, around in cysts]
    stride = tuple(max(1, round(_SPECKLE_CELL_MM / step)) for step in steps)
    boxes = [_box(envelope, x_mm, z_mm, one) for one in targets.speckle]
    tests = [rayleigh_test(box, (stride[0], stride[1])) for box in boxes]
    points = [
        measure_point(envelope, steps, ((z - float(z_mm[0])) / steps[0], (x - float(x_mm[0])) / steps[1]))
        for x, z in targets.wires
    ]
    offsets = [float(np.hypot(*one.offset_mm)) for one in points] if targets.given else []
    return ChannelMeasures(
        method=method,
        wires=len(points),
        cysts=len(cysts),
        speckle=len(plain),
        contrast_db=_mean([20 * np.log10(max(a.mean(), 1e-30) / max(b.mean(), 1e-30)) for a, b in cysts]),
        cnr=_mean([cnr(a, b) for a, b in cysts]),
        gcnr=_mean([gcnr(a, b) for a, b in cysts]),
        speckle_snr=_mean([speckle_snr(one) for one in plain]),
        ks_distance=_mean([distance for distance, _ in tests]),
        ks_p=_mean([p for _, p in tests]),
        lateral_fwhm_mm=_mean([one.lateral_fwhm_mm for one in points]),
        axial_fwhm_mm=_mean([one.axial_fwhm_mm for one in points]),
        side_lobe_db=_mean([one.side_lobe_db for one in points]),
        distortion_mm=_mean(offsets),
        form_ms=form_ms,
    )


def _within(
    envelope: Envelope,
    across: NDArray[np.floating],
    down: NDArray[np.floating],
    target: tuple[float, float, float],
    first: float,
    last: float,
) -> Envelope:
    """Values whose distance from a target's centre is ``first`` to ``last`` of its radii."""
    x, z, radius = target
    distance = np.hypot(across - x, down - z) / radius
    values = envelope[(distance >= first) & (distance <= last)]
    if values.size < 8:
        raise DataError(f"the target at x {x:g} mm, z {z:g} mm lies outside the picture, or is smaller than its pixels")
    return values


def _box(
    envelope: Envelope, x_mm: NDArray[np.floating], z_mm: NDArray[np.floating], target: tuple[float, float, float]
) -> Envelope:
    """The square within a round target."""
    x, z, radius = target
    half = radius / np.sqrt(2)
    return envelope[np.ix_(np.abs(z_mm - z) <= half, np.abs(x_mm - x) <= half)]


def _mean(values: Sequence[float]) -> float:
    finite = [float(value) for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
