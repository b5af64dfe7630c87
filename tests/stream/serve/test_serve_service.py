"""``edgerecon serve`` as a service manager runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stream_fakes import until

SIM = "sim://?size=32x32&fps=100"


@pytest.mark.skipif(sys.platform != "linux", reason="SIGHUP and systemd")
def test_as_a_service(tmp_path: Path) -> None:
    """One process: ready, a file that is refused, one that is taken, SIGTERM, the report, and the exit status."""
    path, report, told = tmp_path / "streams.toml", tmp_path / "report.json", tmp_path / "log"
    path.write_text(f'[[stream]]\nname = "a"\nsource = "{SIM}"\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, told.open("w") as errors:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        process = subprocess.Popen(
            [sys.executable, "-m", "edgerecon", "serve", str(path), "--json", str(report), "--log-json"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        try:
            assert systemd.recv(200) == b"READY=1"
            path.write_text('[[stream]]\nname = "a"\n')
            process.send_signal(signal.SIGHUP)
            assert systemd.recv(200).startswith(b"RELOADING=1\nMONOTONIC_USEC=") and systemd.recv(200) == b"READY=1"
            path.write_text(f'[[stream]]\nname = "a"\nsource = "{SIM}"\n[[stream]]\nname = "b"\nsource = "nowhere"\n')
            process.send_signal(signal.SIGHUP)
            assert systemd.recv(200).startswith(b"RELOADING=1") and systemd.recv(200) == b"READY=1"
            until(lambda: "stream 'b' failed" in told.read_text())
            process.send_signal(signal.SIGTERM)
            assert systemd.recv(200) == b"STOPPING=1"
            output, _ = process.communicate(timeout=300)
        finally:
            process.kill()
    log = told.read_text()
    assert process.returncode == 1 and "Traceback" not in log
    lines = log.strip().splitlines()
    assert lines[-1] == "edgerecon: 1 of 2 streams failed: 'b'"
    messages = [json.loads(line)["message"] for line in lines[:-1]]
    assert any(
        message.startswith(f"the new configuration is refused, the old one stays: {path}:1:") for message in messages
    )
    assert sum(message.startswith("stream 'b' failed: nowhere does not exist") for message in messages) == 1
    a, b = json.loads(report.read_text())["streams"]
    assert a["lives"] == 1 and a["state"] == "ended" and a["presented"] > 0 and a["in_flight"] == 0
    assert b["error"].startswith("nowhere does not exist") and "a" in output
