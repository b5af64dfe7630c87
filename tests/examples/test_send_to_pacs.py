"""The example that sends a recording to an archive, against an archive of the same library in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.examples.test_examples import load

pynetdicom = pytest.importorskip("pynetdicom", reason="pip install pynetdicom")


@pytest.fixture
def archive() -> Iterator[tuple[int, list[Any], list[int]]]:
    """(port, what was stored, the status that is answered) of an archive that takes ultrasound cines."""
    stored: list[Any] = []
    answer = [0x0000]

    def store(event: Any) -> int:
        stored.append(event.dataset)
        return answer[0]

    entity = pynetdicom.AE(ae_title="ARCHIVE")
    entity.supported_contexts = pynetdicom.AllStoragePresentationContexts
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(pynetdicom.evt.EVT_C_STORE, store)])
    yield server.server_address[1], stored, answer
    server.shutdown()


@pytest.fixture
def clip(tmp_path: Path) -> str:
    path = tmp_path / "clip.npy"
    np.save(path, np.random.default_rng(1).integers(0, 256, (3, 24, 32), np.uint8))
    return str(path)


def test_archive_gets_every_frame(archive: Any, clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    port, stored, _ = archive
    load("send_to_pacs").main("127.0.0.1", str(port), "ARCHIVE", clip)
    (found,) = stored
    assert (found.NumberOfFrames, found.Rows, found.Columns) == (3, 24, 32)
    assert found.SOPInstanceUID in capsys.readouterr().out


def test_refusal_of_the_archive_is_a_line(archive: Any, clip: str) -> None:
    port, _, answer = archive
    answer[0] = 0xA700  # out of resources
    with pytest.raises(SystemExit, match="ARCHIVE refused the file"):
        load("send_to_pacs").main("127.0.0.1", str(port), "ARCHIVE", clip)


def test_absent_archive_is_a_line(clip: str) -> None:
    with pytest.raises(SystemExit, match="does not answer"):
        load("send_to_pacs").main("127.0.0.1", "1", "ARCHIVE", clip)
