"""bench/openigtlink.py for a moment: a tracked probe, a stream and a receiver, each in a process of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pyigtl", reason="pyigtl is not installed")
from bench import openigtlink


def test_no_pose_of_a_short_sweep_is_wrong() -> None:
    result = openigtlink.measure(fps=400, seconds=1.0, shape=(24, 32), policy="latest")
    assert result["received"]["came"] > 1
    assert (result["received"]["wrong_poses"], result["received"]["faults"]) == (0, 0)
    assert result["gaps_exact"] and result["sent"]["left_out"] == 4


def test_a_wrong_bit_of_a_pose_is_seen() -> None:
    pose = openigtlink.pose_of(7)
    probe = pose.transforms[0]
    moved, later = probe.matrix.copy(), np.nextafter(pose.timestamp_s, np.inf)
    moved[0, 3] = np.nextafter(moved[0, 3], np.inf)
    others = [
        openigtlink.pose_of(8),
        replace(pose, timestamp_s=later),
        replace(pose, plane=replace(pose.plane, coordinates="LPS")),
        replace(pose, transforms=(replace(probe, matrix=moved),)),
        replace(pose, transforms=()),
        None,
    ]
    assert openigtlink.bits_of(openigtlink.pose_of(7)) == openigtlink.bits_of(pose)
    assert all(openigtlink.bits_of(other) != openigtlink.bits_of(pose) for other in others)
