"""A part of every frame is streamed in place of the frame, as of a grabbed screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import ConfigError, UsageError
from edgerecon.core.pose import Plane, Pose
from edgerecon.stream.loop.options import StreamOptions
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.serve.config import load_config
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import KeepSink, ListSource

FRAME = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)


def test_every_frame_is_its_box() -> None:
    sink = KeepSink()
    stream(ListSource([Capture(FRAME)] * 3), None, [sink], policy="every", pace=False, crop=(5, 10, 20, 8))
    assert [frame.pixels.shape for frame in sink.frames] == [(8, 20)] * 3
    np.testing.assert_allclose(sink.frames[0].pixels, FRAME[10:18, 5:25] / 65535, atol=1e-6)


def test_a_smaller_frame_of_a_live_source_is_a_failed_one() -> None:
    source = ListSource([Capture(FRAME), Capture(FRAME[:15]), Capture(FRAME)])
    report = stream(source, None, [KeepSink()], policy="every", pace=False, crop=(5, 10, 20, 8))
    assert (report.presented, report.failed) == (2, 1)


def test_a_pixel_stays_where_it_lies_in_space() -> None:
    axes = np.diag([0.2, 0.3, 1.0])
    plane = Plane.from_matrix(np.block([[axes, np.array([[5.0], [6], [7]])], [np.array([0, 0, 0, 1.0])]]), FRAME.shape)
    part = Pose(plane).cropped((10, 5), (8, 20), FRAME.shape)
    assert plane is not None and part.plane is not None
    whole, cut = plane.matrix(FRAME.shape), part.plane.matrix((8, 20))
    np.testing.assert_allclose(cut @ [3, 4, 0, 1], whole @ [8, 14, 0, 1])


@pytest.mark.parametrize("text", ["", "1,2,3", "0,0,0,5", "0,0,9999,10", "-1,0,5,5"])
def test_no_box_of_the_frame_is_one_line(text: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", frames=FRAME[None] >> 4)
    done = CliRunner().invoke(app, ["stream", str(tmp_path / "in.npz"), f"--crop={text}"])
    assert isinstance(done.exception, (UsageError, SystemExit)) and "--crop" in f"{done.exception}{done.output}"


@pytest.mark.parametrize("box", [(0, 0, 0, 4), (-1, 0, 4, 4), (0, 0, 4)])
def test_options_refuse_what_is_no_box(box: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="crop"):
        StreamOptions(crop=box)  # type: ignore[arg-type]


def test_a_service_takes_the_box_of_each_stream(tmp_path: Path) -> None:
    config = tmp_path / "serve.toml"
    config.write_text('[[stream]]\nname = "a"\nsource = "sample"\ncrop = "8,4,100,90"\n')
    assert load_config(config).stream[0].crop_box == (8, 4, 100, 90)
    config.write_text('[[stream]]\nname = "a"\nsource = "sample"\ncrop = "8,4"\n')
    with pytest.raises(ConfigError, match=r"serve.toml:4: stream\[0\].crop|crop is x,y,width,height"):
        load_config(config)
