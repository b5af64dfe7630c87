"""Addresses that cannot be are one line, and no message repeats a password."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from edgerecon.core.errors import EdgereconError, SourceError, UsageError, redacted
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.live.network_video import NetworkVideoSource
from edgerecon.stream.uri import file_path, split_uri

LONG = ["a" * 70 + ".b:80", "é" * 64 + ":80"]
HOSTS = [
    "[::1",
    "::1]",
    "[::1]]",
    "[]",
    "[zz]:80",
    "[::1]:x",
    "a\0b:80",
    "\ud800:80",
    "℀.x:80",
    "h:99999",
    "h:-1",
    "h:²",
    "..:80",
    "a\nb:80",
    *LONG,
]


@pytest.mark.parametrize(
    ("platform", "text", "path"),
    [
        ("linux", "file:///data/a%20b.mp4", "/data/a b.mp4"),
        ("linux", "file:///C:/data/a.mp4", "/C:/data/a.mp4"),
        ("win32", "file:///C:/data/a%20b.mp4", "C:/data/a b.mp4"),
        ("win32", "C:\\data\\a.mp4", "C:\\data\\a.mp4"),
    ],
)
def test_file_path_on_windows_begins_with_its_drive(
    platform: str, text: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    assert str(file_path(text)) == path


@pytest.mark.parametrize("host", HOSTS, ids=ascii)
@pytest.mark.parametrize(
    ("opened", "beginning"),
    [
        (open_sink, "viewer:"),
        (open_sink, "metrics://"),
        (open_sink, "igtl://u:secret@"),
        (open_source, "igtl://"),
        (open_source, "rtsp://u:secret@"),
        (open_source, "udp://"),
    ],
)
def test_address_that_cannot_be_is_one_line(opened: Callable[[str], Any], beginning: str, host: str) -> None:
    with pytest.raises(EdgereconError) as refused:
        opened(beginning + host).close()
    assert "\n" not in str(refused.value) and "secret" not in str(refused.value)


def test_addresses_that_can_be() -> None:
    assert split_uri("rtsp://user:word@[fe80::1%eth0]:554/live").port == 554
    assert split_uri("igtl://schöner-wohnen:18944/Bild 1").hostname == "schöner-wohnen"
    assert split_uri("shm://ring").hostname == "ring" and split_uri("v4l2:///dev/video0").path == "/dev/video0"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open rtsp://user:word@host/x", "cannot open rtsp://…@host/x"),
        ("'rtsp://u:pa/ss@w@host:bad'", "'rtsp://…@host:bad'"),
        ("rtsp:/u:word@host does not exist", "rtsp:/…@host does not exist"),
        ("rtsp://h/x?user=a&password=b&channel=1", "rtsp://h/x?user=a&password=…&channel=1"),
        ("give udp://@GROUP:PORT or igtl://HOST", "give udp://@GROUP:PORT or igtl://HOST"),
        ("file:///data/a@b.mp4 and /data/c@d.mp4", "file:///data/a@b.mp4 and /data/c@d.mp4"),
    ],
)
def test_passwords_are_taken_out_of_messages(text: str, shown: str) -> None:
    assert redacted(text) == str(SourceError(text)) == shown == redacted(shown)


def test_no_thread_is_left_of_what_was_refused() -> None:
    before = threading.active_count()
    with pytest.raises(EdgereconError):
        open_sink("viewer:[::1")
    assert threading.active_count() == before


@pytest.mark.parametrize("url", ["rtsp://[::1", "rtsp://h:99999/live", "udp://[::1]]:5000"])
def test_a_video_source_made_directly_refuses_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError):
        NetworkVideoSource(url)
