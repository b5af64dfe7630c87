"""Bundles of a shipped model under a recipe's name, without a network, for the tests of what is in them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgerecon.deploy.bundle import bundle as bundle_module
from edgerecon.deploy.bundle.own_wheel import wheel_name
from edgerecon.engines import backends
from edgerecon.hardware.device import load_device
from edgerecon.workshop.recipe import Recipe

TABLES = {
    "model": {"name": "tiny", "task": "despeckle"},
    "data": {"simulate": "edgerecon simulate t.h5 --samples 4", "file": "t.h5", "inputs": ["pw31"], "target": "clean"},
    "train": {"steps": 10},
    "gates": {"max_difference": 0.05},
}
RECIPE = Recipe.model_validate(TABLES)
CPU = load_device("x86-avx2")
ORIN = load_device("jetson-orin-nx")
WHEEL = f"wheels/{wheel_name()}"
PINS = {"numpy": "2.1.0", "onnxruntime": "1.20.1", "tomli": "2.2.1"}
LOCK = "".join(f"{name}=={version} \\\n    --hash=sha256:{'ab' * 32}\n" for name, version in PINS.items())


def extract(archive: Path, into: Path) -> Path:
    """The one folder that it unpacks into."""
    before = set(into.iterdir())
    subprocess.run(["tar", "-xzf", archive, "-C", into], check=True, capture_output=True, timeout=120)
    (made,) = set(into.iterdir()) - before
    return made


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """No other runtimes than these are known."""
    known = {name: backends()[name] for name in names}
    monkeypatch.setattr(bundle_module, "backends", lambda: known)
