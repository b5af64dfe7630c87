"""How channel data were acquired, as a JSON file: for those that come without a description, as rings in memory do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.beamform.acquisition import Acquisition
from edgerecon.beamform.geometry import Probe
from edgerecon.beamform.transmits import Transmit
from edgerecon.core.config import read_json
from edgerecon.core.errors import AcquisitionError

_NUMBERS = ("samples", "sample_rate_hz", "carrier_hz", "sound_speed_m_s", "period_s", "first_sample_s")
_KNOWN = (*_NUMBERS, "element_x_m", "element_z_m", "element_angle_rad", "lens_delay_s", "transmits", "iq")
_NEEDED = ("samples", "sample_rate_hz", "sound_speed_m_s", "element_x_m", "transmits")


def read_acquisition(path: Path) -> Acquisition:
    """Read the fields of ``Acquisition``, ``Probe`` and ``Transmit``, by their names:

    ``{"element_x_m": [...], "samples": 1024, "sample_rate_hz": 2e7, "carrier_hz": 5e6, "sound_speed_m_s": 1540,
    "transmits": [{"kind": "plane", "angle_rad": 0.1, "start_s": 0}, ...]}``; `element_z_m`, `element_angle_rad`,
    `lens_delay_s`, `iq`, `period_s` and `first_sample_s` are optional.

    Raises:
        AcquisitionError: it is missing, no JSON, or a field is unknown, missing or no number; the message names it.
    """
    content = read_json(path, AcquisitionError, f"the acquisition in {path}")
    if not isinstance(content, dict):
        raise AcquisitionError(f"{path}: give an object with {', '.join(_NEEDED)}")
    _refuse(path, content, _KNOWN, _NEEDED)
    x = _array(path, content, "element_x_m", np.zeros(0))
    probe = Probe(
        x,
        _array(path, content, "element_z_m", np.zeros(x.size)),
        _array(path, content, "element_angle_rad", np.zeros(x.size)),
        lens_delay_s=_number(path, content, "lens_delay_s", 0.0),
    )
    transmits = content["transmits"]
    if not isinstance(transmits, list):
        raise AcquisitionError(f"{path}: transmits is a list of objects with a kind")
    period_s = _number(path, content, "period_s", 0.0)
    found = Acquisition(
        probe=probe,
        transmits=tuple(_transmit(path, one) for one in transmits),
        samples=int(_number(path, content, "samples", 0)),
        sample_rate_hz=_number(path, content, "sample_rate_hz", np.nan),
        carrier_hz=_number(path, content, "carrier_hz", 0.0),
        sound_speed_m_s=_number(path, content, "sound_speed_m_s", np.nan),
        iq=bool(content.get("iq", False)),
        period_s=period_s if period_s > 0 else None,
        first_sample_s=_number(path, content, "first_sample_s", 0.0),
    )
    found.check(path.name)
    return found


def _transmit(path: Path, content: object) -> Transmit:
    if not isinstance(content, dict):
        raise AcquisitionError(f"{path}: transmits is a list of objects with a kind")
    names = [one.name for one in fields(Transmit)]
    _refuse(path, content, names, ("kind",))
    numbers = {key: _number(path, content, key, 0.0) for key in names if key not in ("kind", "element_delay_s")}
    delays = tuple(float(one) for one in _array(path, content, "element_delay_s", np.zeros(0)))
    return Transmit(content["kind"], element_delay_s=delays, **numbers)


def _refuse(path: Path, content: Mapping[str, Any], known: Any, needed: Any) -> None:
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise AcquisitionError(f"{path}: '{unknown[0]}' is unknown: known are {', '.join(known)}")
    missing = [key for key in needed if key not in content]
    if missing:
        raise AcquisitionError(f"{path}: {missing[0]} is missing")


def _number(path: Path, content: Mapping[str, Any], key: str, default: float) -> float:
    value = content.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise AcquisitionError(f"{path}: {key} is no number: {value}")
    return float(value)


def _array(path: Path, content: Mapping[str, Any], key: str, default: np.ndarray) -> np.ndarray:
    try:
        values = np.array(content.get(key, default), np.float64)
    except (TypeError, ValueError):
        values = np.zeros((0, 0))
    if values.ndim != 1:
        raise AcquisitionError(f"{path}: {key} is a list of numbers")
    return values
