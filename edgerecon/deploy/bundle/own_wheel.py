"""The wheel of the running edgerecon, packed from its installed files: a checkout and an installation give one alike.

A wheel is a zip of the package with its metadata (PyPA, "Binary distribution format"). It needs no build tool, no
network and no source tree, and the same files give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import edgerecon
from edgerecon.core.errors import EdgereconError
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.bundle.packages import OURS, our_licence

ROOMS = ("export", "kernels", "devices")
"""What ships beside the code; see pyproject.toml."""

WHEEL = "Wheel-Version: 1.0\nGenerator: edgerecon\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT = ("__pycache__", "_shipped")


def wheel_name() -> str:
    """e.g. "edgerecon-0.1.0-py3-none-any.whl"."""
    return f"{OURS}-{edgerecon.__version__}-py3-none-any.whl"


def own_wheel() -> bytes:
    """The wheel's bytes.

    Raises:
        EdgereconError: this edgerecon is not installed as a package, or was of another version when it was (an editable
            installation whose checkout went on), so that its requirements are unknown.
    """
    try:
        installed = distribution(OURS)
    except PackageNotFoundError:
        raise EdgereconError("edgerecon is not installed as a package: run  pip install .  in its folder") from None
    if installed.version != edgerecon.__version__:
        raise EdgereconError(
            f"this is edgerecon {edgerecon.__version__}, installed as {installed.version}, whose requirements may be "
            "others: run  pip install -e .  again in its folder"
        )
    info = f"{OURS}-{edgerecon.__version__}.dist-info"
    files = dict(_package())
    for name in ("METADATA", "entry_points.txt"):
        files[f"{info}/{name}"] = (installed.read_text(name) or "").encode()
    files[f"{info}/WHEEL"] = WHEEL.encode()
    files[f"{info}/licenses/LICENSE"] = our_licence().encode()
    record = "".join(f"{name},{_hash(content)},{len(content)}\n" for name, content in sorted(files.items()))
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return packed.getvalue()


def _package() -> Iterator[tuple[str, bytes]]:
    """Name in the wheel → content, of the code and of the rooms."""
    package = Path(edgerecon.__file__).resolve().parent
    for source, target in ((package, OURS), *((resource_dir(room), f"{OURS}/_shipped/{room}") for room in ROOMS)):
        for path in source.rglob("*"):
            parts = path.relative_to(source).parts
            if path.is_file() and not any(part in _LEFT_OUT or part.startswith(".") for part in parts):
                yield f"{target}/{'/'.join(parts)}", path.read_bytes()


def _hash(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"
