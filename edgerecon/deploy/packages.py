"""What a bundle needs at run time besides its own files: Python packages of the device world, with their licences."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

OURS = "edgerecon"
_RUNTIMES = {
    "onnxruntime": ("onnxruntime",),
    "openvino": ("openvino",),
    "pytorch": ("torch", "onnx"),
    "tensorrt": ("tensorrt", "tensorrt-rtx-cu13", "pycuda"),
}
"""Backend → distributions that bring it; those that are not installed here are left out."""
_LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|third.?party)", re.IGNORECASE)


@dataclass(frozen=True)
class Package:
    """An installed distribution. licence: an SPDX expression, or what its metadata says; "" when it says nothing."""

    name: str
    version: str
    licence: str
    is_spdx: bool
    requires: tuple[str, ...]


def runtime_packages(backend: str, on_jetson: bool = False) -> list[Package]:
    """edgerecon, the runtime of a backend, and everything they require, as installed here; sorted by name.

    Args:
        on_jetson: leave TensorRT out, since JetPack brings its own.
    """
    found: dict[str, Package] = {}
    runtimes = _RUNTIMES.get(backend, ())
    waiting = [OURS, *(name for name in runtimes if not (on_jetson and name.startswith("tensorrt")))]
    while waiting:
        name = _normal(waiting.pop())
        installed = None if name in found else _installed(name)
        if installed is not None:
            found[name] = _package(name, installed)
            waiting += found[name].requires
    present = found.keys()
    return [
        Package(
            one.name, one.version, one.licence, one.is_spdx, tuple(name for name in one.requires if name in present)
        )
        for _, one in sorted(found.items())
    ]


def licence_texts(packages: list[Package]) -> str:
    """The licences and notices that packages carry with them, one after the other, each text once."""
    seen: set[str] = set()
    parts = ["Packages that a bundle needs at run time, as installed where it was made. They are not part of it.\n"]
    for package in packages:
        if package.name == OURS:
            continue
        parts.append(f"{'=' * 100}\n{package.name} {package.version}: {package.licence or 'no licence stated'}\n")
        for name, text in _licence_files(package.name):
            digest = hashlib.sha256(text.encode()).hexdigest()
            parts.append(f"--- {name}\n\n{text.rstrip()}\n" if digest not in seen else f"--- {name}: as above\n")
            seen.add(digest)
    return "\n".join(parts)


def our_licence() -> str:
    """The text of our own licence.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for name, text in _licence_files(OURS):
        if name.endswith("LICENSE"):
            return text
    raise FileNotFoundError("the licence of edgerecon is not installed: reinstall edgerecon")


def _package(name: str, installed: Distribution) -> Package:
    expression = installed.metadata["License-Expression"] if "License-Expression" in installed.metadata else ""
    return Package(name, installed.version, expression or _stated_licence(installed), bool(expression),
                   _requirements(installed))  # fmt: skip


def _stated_licence(installed: Distribution) -> str:
    """From the classifiers, or the first line of the older free-text field, which may hold the whole licence."""
    classifiers = installed.metadata.get_all("Classifier") or []
    named = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    text = installed.metadata["License"] if "License" in installed.metadata else ""
    return " AND ".join(named) or next(iter((text or "").strip().splitlines()), "")[:100]


def _requirements(installed: Distribution) -> tuple[str, ...]:
    """Names that a distribution requires on this platform, extras left out."""
    from packaging.requirements import Requirement

    wanted = map(Requirement, installed.requires or [])
    names = {_normal(one.name) for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})}
    return tuple(sorted(names))


def _licence_files(name: str) -> list[tuple[str, str]]:
    """(path inside the distribution, text), sorted."""
    installed = _installed(name)
    texts = []
    for file in sorted((installed.files if installed else None) or [], key=str):
        if _LICENCE_FILE.search(file.name) and file.suffix not in (".py", ".pyc", ".pyi", ".json", ".toml"):
            path = Path(file.locate())
            content = path.read_bytes() if path.is_file() else b""
            texts.append((str(file), content.decode("utf-8", "replace").replace("\r\n", "\n")))
    return texts


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _normal(name: str) -> str:
    """Spelling of a name that all tools agree on (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
