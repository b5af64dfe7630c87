"""The bill of materials against what CycloneDX 1.6 requires (ECMA-424), and against the packages installed here."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from importlib.metadata import distribution, version
from typing import Any

import pytest

from edgerecon.deploy.bundle.packages import Package, Pin, licence_texts, our_licence, target_packages
from edgerecon.deploy.bundle.sbom import sbom

FILES = {"tiny.onnx": b"model", "config.json": b"{}"}
PACKAGES = [
    Package("edgerecon", "0.1.0", "Apache-2.0", True, ("numpy",)),
    Package("numpy", "2.0+cpu", "BSD License", False, ()),
    Package("quiet", "1", "", False, ()),
]
TYPES = {"application", "file", "library", "machine-learning-model", "platform"}


def _document(**changes: Any) -> dict[str, Any]:
    facts = {
        "name": "tiny",
        "version": "0.1.0",
        "files": FILES,
        "packages": PACKAGES,
        "system": {"jetpack": "6.2"},
        "licence": "Apache-2.0",
    }
    return json.loads(sbom(**{**facts, **changes}))


def test_what_the_schema_requires() -> None:
    document = _document()
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.6", 1)
    assert document["$schema"].endswith("bom-1.6.schema.json")
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document["serialNumber"])
    uuid.UUID(document["serialNumber"])
    everything = [document["metadata"]["component"], *document["components"]]
    assert len(everything) == 1 + len(FILES) + len(PACKAGES) + 1
    for component in everything:
        assert component["type"] in TYPES and component["name"]
        for licence in component.get("licenses", []):
            assert set(licence) in ({"expression"}, {"license"})
            assert "expression" in licence or licence["license"]["name"]
        for digest in component.get("hashes", []):
            assert digest["alg"] == "SHA-256" and re.fullmatch(r"[0-9a-f]{64}", digest["content"])


def test_references_are_unique_and_lead_somewhere() -> None:
    document = _document()
    known = [document["metadata"]["component"]["bom-ref"], *(part["bom-ref"] for part in document["components"])]
    assert len(known) == len(set(known))
    edges = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
    assert len(edges) == len(document["dependencies"]) == 1 + len(PACKAGES)
    for start, ends in edges.items():
        assert {start, *ends} <= set(known)
    assert edges["tiny@0.1.0"] == ["pkg:pypi/edgerecon@0.1.0", "system:jetpack"]
    assert edges["pkg:pypi/edgerecon@0.1.0"] == ["pkg:pypi/numpy@2.0%2Bcpu"]


def test_the_files_and_their_hashes() -> None:
    parts = {part["name"]: part for part in _document()["components"]}
    assert parts["tiny.onnx"]["type"] == "machine-learning-model" and parts["config.json"]["type"] == "file"
    for name, content in FILES.items():
        assert parts[name]["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
    assert parts["edgerecon"]["licenses"] == [{"expression": "Apache-2.0"}]
    assert parts["numpy"]["licenses"] == [{"license": {"name": "BSD License"}}]
    assert "licenses" not in parts["quiet"]
    assert (parts["jetpack"]["type"], parts["jetpack"]["version"]) == ("platform", "6.2")


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {**FILES, "tiny.onnx": b"other"}},
        {"version": "0.2"},
        {"packages": PACKAGES[:2]},
        {"system": {}},
    ],
)
def test_the_serial_number_follows_the_content(changes: dict[str, Any]) -> None:
    assert _document()["serialNumber"] == _document()["serialNumber"]
    assert _document()["serialNumber"] != _document(**changes)["serialNumber"]


NAMES = ("numpy", "onnxruntime", "opencv-python-headless", "pydicom", "av")
PINS = [Pin(name, f"{index}.5", (f"{index}" * 64,)) for index, name in enumerate(NAMES)]


def test_the_packages_are_those_of_the_lock() -> None:
    """Versions and hashes are the target's; licences and who needs whom are read here."""
    packages = {package.name: package for package in target_packages([*PINS, Pin("No_Such.Thing", "7", ())], b"wheel")}
    assert packages.keys() == {"edgerecon", "no-such-thing", *NAMES}
    assert [packages[pin.name].version for pin in PINS] == [pin.version for pin in PINS]
    assert [packages[pin.name].hashes for pin in PINS] == [pin.hashes for pin in PINS]
    assert packages["edgerecon"].version == version("edgerecon")
    assert packages["edgerecon"].hashes == (hashlib.sha256(b"wheel").hexdigest(),)
    assert set(NAMES) <= set(packages["edgerecon"].requires), "extras of ours are why av is there"
    assert packages["onnxruntime"].requires == ("numpy",) and packages["no-such-thing"].licence == ""
    ours = distribution("edgerecon").metadata["License-Expression"]
    assert (packages["edgerecon"].licence, packages["edgerecon"].is_spdx) == (ours, True)
    assert not packages["opencv-python-headless"].is_spdx and "Apache" in packages["opencv-python-headless"].licence


def test_licences() -> None:
    assert "Apache License" in our_licence() and "Version 2.0" in our_licence()
    packages = target_packages(PINS, b"wheel")
    text = licence_texts(packages)
    for package in packages:
        assert (f"{package.name} {package.version}: " in text) == (package.name != "edgerecon")
    for notice in ("Redistribution and use in source and binary forms", "Permission is hereby granted"):
        assert notice in text
    assert "\r\n" not in text
