"""The software bill of materials of a bundle: CycloneDX 1.6 (ECMA-424) as JSON.

It lists the files of the bundle with their hashes, the Python packages that run it, and the device's own system
software. It carries no time stamp and a serial number derived from the content, so that equal bundles have equal bytes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from edgerecon.core import __version__
from edgerecon.core.checksums import sha256
from edgerecon.deploy.bundle.packages import OURS, Package

SPEC_VERSION = "1.6"


def sbom(
    name: str,
    version: str,
    files: Mapping[str, bytes],
    packages: Sequence[Package],
    system: Mapping[str, str],
    licence: str,
) -> bytes:
    """The document, UTF-8.

    Args:
        name, version: of the bundle. files: every other file of it. packages: see ``target_packages``.
        system: system software of the device, e.g. {"jetpack": "6.2", "tensorrt": "10.3"}. licence: SPDX expression
            of the bundle's own files.
    """
    root = f"{name}@{version}"
    hashes = {file: sha256(content) for file, content in sorted(files.items())}
    identity = json.dumps([root, hashes, [[p.name, p.version] for p in packages], sorted(system.items())])
    document = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"edgerecon:{identity}").urn,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": name,
                "version": version,
                "licenses": [{"expression": licence}],
            },
            "tools": {"components": [{"type": "application", "name": OURS, "version": __version__}]},
        },
        "components": [
            *(_file(file, digest, licence) for file, digest in hashes.items()),
            *map(_library, packages),
            *(_system(key, value) for key, value in sorted(system.items())),
        ],
        "dependencies": [
            {"ref": root, "dependsOn": [_purl_of(OURS, packages), *(f"system:{key}" for key in sorted(system))]},
            *({"ref": _purl(p), "dependsOn": [_purl_of(other, packages) for other in p.requires]} for p in packages),
        ],
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _file(name: str, digest: str, licence: str) -> dict[str, Any]:
    is_model = name.endswith(".onnx")
    component: dict[str, Any] = {
        "type": "machine-learning-model" if is_model else "file",
        "bom-ref": f"file:{name}",
        "name": name,
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    return {**component, "licenses": [{"expression": licence}]} if is_model else component


def _library(package: Package) -> dict[str, Any]:
    """A package that the bundle needs; hashes of every file of its version, of which the target takes one."""
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(package),
        "name": package.name,
        "version": package.version,
        "scope": "required",
        "purl": _purl(package),
    }
    if package.hashes:
        component["hashes"] = [{"alg": "SHA-256", "content": digest} for digest in package.hashes]
    if not package.licence:
        return component
    licence = {"expression": package.licence} if package.is_spdx else {"license": {"name": package.licence}}
    return {**component, "licenses": [licence]}


def _system(name: str, version: str) -> dict[str, Any]:
    return {"type": "platform", "bom-ref": f"system:{name}", "name": name, "version": version, "scope": "required"}


def _purl(package: Package) -> str:
    """Package URL (ECMA-427) of a distribution; a local version's plus sign is percent-encoded."""
    return f"pkg:pypi/{package.name}@{package.version.replace('+', '%2B')}"


def _purl_of(name: str, packages: Sequence[Package]) -> str:
    return next(_purl(package) for package in packages if package.name == name)
