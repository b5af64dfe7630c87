"""Viewers that are served, for the tests of their guards."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgerecon.stream.sinks.viewer import ViewerSink
from edgerecon.stream.sinks.web.address import Address
from tests.stream.sinks.served_page import TOKEN, opened


@pytest.fixture
def viewer() -> Iterator[ViewerSink]:
    sink = opened()
    yield sink
    sink.close()


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[ViewerSink]:
    """On every interface, with the token of the environment."""
    monkeypatch.setenv("EDGERECON_TOKEN", TOKEN)
    sink = opened(Address("0.0.0.0", 0))
    yield sink
    sink.close()


# ---- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """A certificate for 127.0.0.1, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-days",
        "2",
    ]
    subprocess.run([*make, "-out", cert, "-keyout", key], check=True, capture_output=True, timeout=120)
    return cert, key
