"""Sources that never wait: the simulated probe, cameras, network video, and what they share."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgerecon.core.errors import SourceError, UsageError
from edgerecon.core.frame import to_gray
from edgerecon.stream.process.backoff import Backoff
from edgerecon.stream.sources import Capture, open_source
from edgerecon.stream.sources.live import camera as camera_module
from edgerecon.stream.sources.live import network_video as network_module
from edgerecon.stream.sources.live.live_scale import LiveScale
from edgerecon.stream.sources.live.pump import pump
from edgerecon.stream.sources.live.sim import SimSource
from tests.support.stream_fakes import until


@pytest.mark.parametrize(
    "uri",
    [
        "sim://?size=8x8",
        "sim://?size=99999x16",
        "sim://?size=big",
        "sim://?fps=0",
        "sim://?fps=nan",
        "sim://?speed=1",
        "igtl://",
        "igtl://h:0x1",
        "udp://127.0.0.1",
        "shm://",
        "shm://a/b",
        "v4l2:///dev/null?size=1",
    ],
)
def test_addresses_that_make_no_sense_are_refused_in_one_line(uri) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(uri)
    assert "\n" not in str(caught.value)


def test_an_unknown_address_names_the_known_ones() -> None:
    with pytest.raises(SourceError, match="no source is known by http://: give a file, or one of clarius://"):
        open_source("http://example.org/x.mp4")


def test_the_simulated_probe_is_live_moves_and_keeps_its_rate() -> None:
    with closing(open_source("sim://?size=96x64&fps=200")) as source:
        assert (source.live, source.length, source.period_s) == (True, None, 1 / 200)
        frames, images = source.frames(), []
        for _ in range(12):
            capture = next(frames)
            assert capture.image is not None and capture.image.shape == (64, 96) and capture.image.dtype == np.uint8
            images.append(capture.image.copy())
    assert list(frames) == []
    assert all((one != other).any() for one, other in zip(images, images[1:], strict=False))
    assert images[0].std() > 20


def test_simulated_frames_that_nobody_takes_are_a_gap() -> None:
    source = SimSource(32, 32, fps=100)
    frames = source.frames()
    start = time.perf_counter()
    count = 0
    for pause in (0.0, 0.055, 0.0, 0.033, 0.0):
        time.sleep(pause)
        count += 1 + next(frames).gap
    periods = (time.perf_counter() - start) * 100
    assert 8 < count <= periods + 1  # what was not taken was counted, and no frame came before its time
    source.close()


class FakeDevice:
    """Gives images until it is unplugged; ``log`` says what was done to it."""

    log: list[object] = []
    images: list[list[tuple[float, np.ndarray]]] = []

    def __init__(self, path: str, api: int) -> None:
        self.log.append(("open", path))
        self._images = self.images.pop(0) if self.images else None

    def isOpened(self) -> bool:
        return self._images is not None

    def get(self, what: int) -> float:
        return 25.0 if what == cv2.CAP_PROP_FPS else self._time_ms

    def set(self, what: int, value: float) -> None:
        self.log.append((what, value))

    def read(self) -> tuple[bool, np.ndarray | None]:
        if not self._images:
            return False, None
        self._time_ms, image = self._images.pop(0)
        return True, image

    def release(self) -> None:
        self.log.append("release")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> type[FakeDevice]:
    monkeypatch.setattr(camera_module, "is_device", lambda path: True)
    monkeypatch.setattr(cv2, "VideoCapture", FakeDevice)
    monkeypatch.setattr(FakeDevice, "log", [])
    return FakeDevice


def test_a_camera_that_is_unplugged_and_back(device) -> None:
    red = np.zeros((6, 8, 3), np.uint8)
    red[..., 2] = 200  # OpenCV gives BGR
    device.images = [[(40.0 * n, red) for n in (1, 2, 3, 6)], [(5000.0, red[..., 0])]]
    with closing(open_source("v4l2:///dev/video7?size=1280x720&fps=50")) as source:
        assert source.live and source.period_s == 0.04 and source.name == "v4l2:///dev/video7"
        assert (cv2.CAP_PROP_FRAME_HEIGHT, 720) in device.log and (cv2.CAP_PROP_FPS, 50.0) in device.log
        frames = source.frames()
        captures = [next(frames) for _ in range(5)]
    assert [one.gap for one in captures] == [0, 0, 0, 2, (5000 - 240) // 40 - 1]
    assert [int(to_gray(one.image).max()) for one in captures if one.image is not None] == [60, 60, 60, 60, 0]
    assert device.log.count("release") == 1 or device.log.count("release") == 2


def test_no_camera_is_one_line(device, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="/dev/video7 cannot be opened: another program"):
        open_source("v4l2:///dev/video7")
    monkeypatch.undo()
    with pytest.raises(SourceError, match="/dev/video99 is no video device: plug"):
        open_source("v4l2:///dev/video99")
    assert not camera_module.is_device(Path(__file__))


def test_the_pump_keeps_the_newest_and_counts_the_others() -> None:
    closed, made, taken = threading.Event(), threading.Event(), threading.Event()

    def blocking() -> Iterator[Capture]:
        for number in range(10):
            yield Capture(np.full((1, 1), number, np.uint8), gap=int(number == 2))
        made.set()
        taken.wait(60)
        raise RuntimeError("the driver crashed")

    captures = pump(blocking(), closed)
    got = [next(captures)]
    made.wait(60)
    while int(got[-1].image[0, 0]) < 9:
        got.append(next(captures))
    assert sum(1 + one.gap for one in got) == 11  # ten, and one that was lost before it came here
    assert len(got) <= 5 and all(one.captured_ns for one in got)
    taken.set()
    with pytest.raises(RuntimeError, match="the driver crashed"):
        next(captures)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_the_pump_raises_whatever_its_reader_raises(error: BaseException) -> None:
    def leaving() -> Iterator[Capture]:
        yield Capture(None)
        raise error

    captures = pump(leaving(), threading.Event())
    next(captures)
    with pytest.raises(type(error)):
        next(captures)


def test_the_pump_ends_although_its_reader_hangs() -> None:
    closed, hang = threading.Event(), threading.Event()

    def hanging() -> Iterator[Capture]:
        hang.wait(30)
        yield Capture(None)

    threading.Timer(0.02, closed.set).start()
    assert list(pump(hanging(), closed)) == []
    hang.set()


def test_the_backoff_grows_is_bounded_and_ends_at_once() -> None:
    closed = threading.Event()
    waited: list[float] = []
    closed.wait = lambda timeout=None: bool(waited.append(timeout))  # type: ignore[method-assign,func-returns-value]
    backoff = Backoff(closed)
    assert all(backoff.wait() for _ in range(7))
    backoff.reset()
    backoff.wait()
    assert waited == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 0.1]
    closed = threading.Event()
    closed.set()
    assert not Backoff(closed).wait()


def test_levels_without_a_full_scale() -> None:
    scale = LiveScale()
    same = np.zeros((2, 2), np.uint16)
    assert scale.to_unit_range(same) is same
    np.testing.assert_array_equal(scale.to_unit_range(np.float64([[0, 0.25]])), [[0, 0.25]])
    np.testing.assert_allclose(scale.to_unit_range(np.int16([[0, 204]])), [[0, 0.8]])
    np.testing.assert_allclose(scale.to_unit_range(np.int16([[0, 102]])), [[0, 0.4]])  # what was white stays white
    np.testing.assert_allclose(scale.to_unit_range(np.int16([[-255, 255]])), [[0, 1]])
    assert not np.isfinite(scale.to_unit_range(np.float32([[np.nan, 1]]))).all()
    np.testing.assert_allclose(scale.to_unit_range(np.float32([[1e6]])), [[1]])


class Sender:
    """Real MPEG-TS over UDP to a port, at some 100 frames a second; the grey level counts up."""

    def __init__(self, port: int) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(port,), daemon=True)
        self._thread.start()

    def _send(self, port: int) -> None:
        import av

        with av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as out:
            stream = out.add_stream("mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.gop_size, stream.codec_context.max_b_frames = 5, 0
            number = 0
            while not self._stop.wait(0.01):
                grey = np.full((48, 64), 20 + number % 200, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
                frame.pts, number = number, number + 1
                out.mux(stream.encode(frame))

    def close(self) -> None:
        self._stop.set()
        self._thread.join(60)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_mpeg_ts_over_udp_and_a_sender_that_starts_again(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    port = free_udp_port()
    first = Sender(port)
    with closing(open_source(f"udp://127.0.0.1:{port}")) as source:
        assert source.live and source.period_s == 0.04
        frames = source.frames()
        captures = [next(frames) for _ in range(20)]
        greys = [int(one.image.mean()) for one in captures if one.image is not None]
        assert len(greys) == 20 and greys == sorted(greys) and captures[0].image.shape == (48, 64)
        assert sum(one.gap for one in captures) == 0
        first.close()
        until(lambda: "no more video; connecting again" in caplog.text)
        with closing(Sender(port)):
            later = [next(frames) for _ in range(8)]
        assert sum(one.gap > 0 for one in later) == 1 and later[-1].image is not None


def test_no_network_video_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    monkeypatch.setattr(network_module, "_OPEN_S", 0.2)
    with pytest.raises(
        SourceError, match=r"no video comes from rtsp://127.0.0.1:1/x \(.*\): start an RTSP server"
    ) as got:
        open_source("rtsp://doctor:secret@127.0.0.1:1/x")
    assert "secret" not in str(got.value)
    with pytest.raises(SourceError, match=r"nothing within 0.2 s\): start a sender"):
        open_source(f"udp://127.0.0.1:{free_udp_port()}")
