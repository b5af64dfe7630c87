"""The Python packages that a bundle needs, as its target's lock names them, with the licences that they state."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from edgerecon.core import __version__
from edgerecon.core.checksums import sha256

OURS = "edgerecon"
_LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|third.?party)", re.IGNORECASE)


@dataclass(frozen=True)
class Pin:
    """One package of a lock. hashes: SHA-256 of each file of that version, for whatever platform."""

    name: str
    version: str
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Package:
    """A distribution of the target.

    Attributes:
        version, hashes: of the lock; SHA-256 of every file of that version, whichever the target takes.
        licence: an SPDX expression, or what its metadata says; "" when it is not installed here or says nothing.
        requires: those of the others that it needs.
    """

    name: str
    version: str
    licence: str
    is_spdx: bool
    requires: tuple[str, ...]
    hashes: tuple[str, ...] = ()


def target_packages(pins: Sequence[Pin], wheel: bytes) -> list[Package]:
    """edgerecon itself, as its wheel, and every package of a lock; sorted by name.

    Licences and what needs what are read from the packages of these names that are installed here.
    """
    ours = Pin(OURS, __version__, (sha256(wheel),))
    present = {_normal(pin.name) for pin in (ours, *pins)}
    return sorted((_package(pin, present) for pin in (ours, *pins)), key=lambda one: one.name)


def licence_texts(packages: list[Package]) -> str:
    """The licences and notices that packages carry with them here, one after the other, each text once."""
    seen: set[str] = set()
    parts = ["Packages that this bundle needs, with the texts that they carry where it was packed.\n"]
    for package in packages:
        if package.name == OURS:
            continue
        parts.append(f"{'=' * 100}\n{package.name} {package.version}: {package.licence or 'no licence stated'}\n")
        for name, text in _licence_files(package.name):
            digest = sha256(text.encode())
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


def _package(pin: Pin, present: Collection[str]) -> Package:
    name, installed = _normal(pin.name), _installed(pin.name)
    if installed is None:
        return Package(name, pin.version, "", False, (), pin.hashes)
    expression = installed.metadata["License-Expression"] if "License-Expression" in installed.metadata else ""
    requires = tuple(one for one in _requirements(installed) if one in present)
    licence = expression or _stated_licence(installed)
    return Package(name, pin.version, licence, bool(expression), requires, pin.hashes)


def _stated_licence(installed: Distribution) -> str:
    """From the classifiers, or the first line of the older free-text field, which may hold the whole licence."""
    classifiers = installed.metadata.get_all("Classifier") or []
    named = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    text = installed.metadata["License"] if "License" in installed.metadata else ""
    return " AND ".join(named) or next(iter((text or "").strip().splitlines()), "")[:100]


def _requirements(installed: Distribution) -> tuple[str, ...]:
    """Names of everything that a distribution may require, whatever the platform; extras of others left out."""
    from packaging.requirements import Requirement

    wanted = map(Requirement, installed.requires or [])
    return tuple(
        sorted(
            {
                _normal(one.name)
                for one in wanted
                if _normal(installed.name) == OURS or "extra" not in str(one.marker or "")
            }
        )
    )


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
