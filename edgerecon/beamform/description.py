"""How channel data were acquired, as a JSON file: for those that come without a description, as rings in memory do."""

from __future__ import annotations

import math
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
    `lens_delay_s`, `iq`, `period_s` and `first_sample_s` are optional. In `element_delay_s`, null is an element that
    does not fire.

    Raises:
        AcquisitionError: it is missing, no JSON, or a field is unknown, missing or not finite; the message names it.
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
    if period_s < 0:
        raise AcquisitionError(f"{path}: period_s is the time between two frames, not {period_s:g}")
    found = Acquisition(
        probe=probe,
        transmits=tuple(_transmit(path, one) for one in transmits),
        samples=_count(path, content, "samples"),
        sample_rate_hz=_number(path, content, "sample_rate_hz", np.nan),
        carrier_hz=_number(path, content, "carrier_hz", 0.0),
        sound_speed_m_s=_number(path, content, "sound_speed_m_s", np.nan),
        iq=_yes_or_no(path, content, "iq"),
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
    if key not in content:
        return default
    if not _is_number(content[key]):
        raise AcquisitionError(f"{path}: {key} is no number: {str(content[key])[:80]}")
    return float(content[key])


def _count(path: Path, content: Mapping[str, Any], key: str) -> int:
    value = _number(path, content, key, 0)
    if value != int(value) or value < 1:
        raise AcquisitionError(f"{path}: {key} is no whole number from 1 on: {value:g}")
    return int(value)


def _yes_or_no(path: Path, content: Mapping[str, Any], key: str) -> bool:
    value = content.get(key, False)
    if not isinstance(value, bool):
        raise AcquisitionError(f"{path}: {key} is true or false, not {str(value)[:80]!r}")
    return value


def _array(path: Path, content: Mapping[str, Any], key: str, default: np.ndarray) -> np.ndarray:
    """A list of numbers; of null, too, in ``element_delay_s``."""
    if key not in content:
        return default
    values = content[key]
    if not isinstance(values, list) or not all(
        _is_number(one) or (one is None and key == "element_delay_s") for one in values
    ):
        raise AcquisitionError(f"{path}: {key} is a list of numbers")
    return np.array(values, np.float64)


def _is_number(value: object) -> bool:
    """Finite as a float64; JSON's true and false are none, and its whole numbers may be of any length."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
