"""The OpenIGTLink source, with faults: each frame arrives or is counted as lost."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from contextlib import closing

import numpy as np
import pytest

pyigtl = pytest.importorskip("pyigtl", reason="pyigtl is not installed")

from edgerecon.core.errors import SourceError, UsageError  # noqa: E402
from edgerecon.core.frame import Frame  # noqa: E402
from edgerecon.core.pose import Plane, Pose, Transform  # noqa: E402
from edgerecon.stream.protocols.openigtlink import pack_image, pack_transform  # noqa: E402
from edgerecon.stream.sources import Capture, open_source  # noqa: E402
from edgerecon.stream.sources.live import igtl  # noqa: E402
from tests.stream.sources.igtl_server import greys, message, take, wait_for  # noqa: E402


def test_frames_with_their_gaps_spacing_and_arrival(igtl_serve) -> None:
    begin = time.perf_counter_ns()
    deeper = message(5, 9, spacing=(0.4, 0.2))
    server = igtl_serve([message(n, n, spacing=(0.2, 0.1)) for n in (1, 2, 6)] + [deeper])
    source = open_source(server.url)
    frames = source.frames()
    captures = [next(frames) for _ in range(4)]
    source.close()
    assert source.live
    assert [one.gap for one in captures] == [0, 0, 3, 2]
    assert [one.spacing_mm for one in captures] == [(0.2, 0.1)] * 3 + [(0.4, 0.2)]
    assert all(begin < one.captured_ns <= time.perf_counter_ns() for one in captures)


def test_a_lost_connection_is_made_again_and_losses_counted(igtl_serve) -> None:
    half = message(3, 3)
    server = igtl_serve([message(1, 1), message(2, 2), half[: len(half) // 2]], [message(6, 6), message(7, 7)])
    captures = take(server.url, 4)
    assert greys(captures) == [1, 2, 6, 7]
    assert [one.gap for one in captures] == [0, 0, 3, 0]


def test_a_server_that_starts_anew_loses_a_frame_at_least(igtl_serve) -> None:
    captures = take(igtl_serve([message(1, 500), message(2, 501)], [message(3, 1), message(4, 2)]).url, 4)
    assert [one.gap for one in captures] == [0, 0, 1, 0]


def test_garbage_ends_the_connection_and_not_the_stream(igtl_serve) -> None:
    noise = np.random.default_rng(3).bytes(4096)
    captures = take(igtl_serve([message(1, 1), noise], [noise], [message(4, 4)]).url, 4)
    assert greys(captures) == [1, None, None, 4]
    assert all("OpenIGTLink" in one.fault for one in captures[1:3])
    assert captures[3].gap == 2


def test_a_damaged_message_costs_its_frame_alone(igtl_serve) -> None:
    bad = bytearray(message(2, 2))
    bad[-5] ^= 0xFF
    captures = take(igtl_serve([message(1, 1), bytes(bad), message(3, 3)]).url, 3)
    assert greys(captures) == [1, None, 3]
    assert "checksum" in captures[1].fault
    assert [one.gap for one in captures] == [0, 0, 0]  # it came: it is a fault, and not a gap as well


def test_size_depth_and_type_may_change(igtl_serve) -> None:
    floats = pyigtl.ImageMessage(np.full((1, 3, 5), 0.5, np.float32), device_name="Probe").pack()
    signed = pyigtl.ImageMessage(np.full((1, 3, 5), 255, np.int16), device_name="Probe").pack()
    deep = pyigtl.ImageMessage(np.full((1, 3, 5), 999, np.uint16), device_name="Probe").pack()
    captures = take(igtl_serve([message(1), message(2, shape=(9, 7)), floats, deep, signed]).url, 5)
    assert [one.image.shape for one in captures] == [(4, 6), (9, 7), (3, 5), (3, 5), (3, 5)]
    assert [one.image.dtype.kind for one in captures] == ["u", "u", "f", "u", "f"]
    assert captures[2].image.max() == 0.5 and captures[3].image.max() == 999
    assert captures[4].image.max() == 1.0  # signed: white is the least full scale that holds it


def test_a_burst_and_a_clock_that_runs_backwards_lose_nothing(igtl_serve) -> None:
    burst = b"".join(message(n % 256, 0, time_s=1000.0 - n) for n in range(200))
    captures = take(igtl_serve([burst]).url, 200)
    assert greys(captures) == [n % 256 for n in range(200)]
    assert sum(one.gap for one in captures) == 0


def test_without_a_count_the_timestamps_tell_what_is_missing(igtl_serve) -> None:
    times = [n / 40 for n in range(100, 130) if n not in (110, 117, 118)]
    captures = take(igtl_serve([message(1, 0, time_s) for time_s in times]).url, len(times))
    assert sum(one.gap for one in captures) == 3


def test_other_devices_and_other_messages_are_left_out(igtl_serve, caplog) -> None:
    other = pyigtl.TransformMessage(np.eye(4), device_name="Tracker").pack()
    script = [message(9, 1, device="Camera"), other, message(1, 1), message(9, 2, device="Camera"), message(2, 2)]
    with caplog.at_level(logging.INFO):
        assert greys(take(igtl_serve(script).url + "/Probe", 2)) == [1, 2]
    assert "device 'Camera'" in caplog.text and "TRANSFORM" in caplog.text
    assert greys(take(igtl_serve(script).url, 2)) == [9, 9]  # the first device that comes


def test_a_device_that_never_sends_is_told_from_those_that_do(igtl_serve, caplog, monkeypatch) -> None:
    monkeypatch.setattr(igtl, "_PATIENCE_S", 0.0)
    script = [message(9, 1, device="Caméra"), message(9, 2, device="\x1b[2JOther"), message(9, 3, device="Caméra")]
    server = igtl_serve(script)
    with closing(open_source(server.url + "/Probe%1b")) as source:
        watch = threading.Thread(target=lambda: (wait_for(lambda: "Other" in caplog.text), source.close()))
        watch.start()
        with pytest.raises(SourceError, match=r"'Caméra', '.x1b.2JOther'.*as in igtl://127.0.0.1:.*/Cam%C3%A9ra"):
            next(source.frames())
        watch.join(60)
    assert r"no image of device 'Probe\x1b' came" in caplog.text
    assert "\x1b" not in caplog.text


def test_a_long_device_name_is_found_by_what_a_header_holds(igtl_serve) -> None:
    name = "UltrasoundImageOfTheLeftKnee"
    script = [message(9, 1, device="Camera"), message(1, 1, device=name), message(2, 2, device=name)]
    assert greys(take(f"{igtl_serve(script).url}/{name}", 2)) == [1, 2]


def invalid(index: int, time_s: float = 0.0) -> bytes:
    return pyigtl_message(index, time_s, {"ImageStatus": "INVALID"})


def pyigtl_message(index: int, time_s: float, metadata: dict[str, str]) -> bytes:
    made = pyigtl.ImageMessage(np.zeros((1, 4, 6), np.uint8), device_name="Probe", timestamp=time_s)
    made.header_version, made.message_id, made.metadata = 2, index, metadata
    return made.pack()


@pytest.mark.parametrize("index", [1, 0])
def test_an_image_that_is_called_invalid_is_a_gap(igtl_serve, index) -> None:
    script = [message(n, n * index) if n not in (3, 4) else invalid(n * index) for n in range(1, 7)]
    captures = take(igtl_serve(script).url, 4)
    assert greys(captures) == [1, 2, 5, 6]
    assert [one.gap for one in captures] == [0, 0, 2, 0]


def pose_of(number: int) -> Pose:
    """Exact in float32, as OpenIGTLink is, and another for every number."""
    rng = np.random.default_rng(number)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    numbers = [turn * [0.1, 0.2, 1.0], rng.normal(size=3), rng.normal(size=(3, 4))]
    axes, centre, matrix = (np.float32(one).astype(np.float64) for one in numbers)
    probe = Transform("ProbeToTracker", np.vstack([matrix, [0, 0, 0, 1]]), "OK", 1000.5 + number)
    return Pose(Plane(axes, centre, "LPS" if number % 2 else "RAS"), (probe,), 1000.5 + number)


def same(pose: Pose, other: Pose) -> bool:
    """Bit for bit."""
    return (
        pose.plane.axes.tobytes() == other.plane.axes.tobytes()
        and pose.plane.centre.tobytes() == other.plane.centre.tobytes()
        and pose.plane.coordinates == other.plane.coordinates
        and pose.timestamp_s == other.timestamp_s
        and [(one.name, one.status, one.timestamp_s, one.matrix.tobytes()) for one in pose.transforms]
        == [(one.name, one.status, one.timestamp_s, one.matrix.tobytes()) for one in other.transforms]
    )


def tracked(number: int) -> bytes:
    """A transform, then the image, as a tracked scanner sends them."""
    pose = pose_of(number)
    image = np.full((4, 6), number % 256, np.uint8)
    parts = [*pack_transform(pose.transforms[0], 0.0)]
    parts += pack_image(image, None, "Image_Reference", number, pose.timestamp_s, pose.plane)
    return b"".join(parts)


def test_a_sweep_of_known_poses_comes_through_with_its_gaps(igtl_serve, igtl_sink) -> None:
    numbers = [n for n in range(1, 301) if n % 7]
    server = igtl_serve([b"".join(tracked(n) for n in numbers)])
    got: list[Capture] = []
    with closing(open_source(igtl_sink.url)) as back, closing(open_source(server.url)) as source:
        wait_for(lambda: igtl_sink.clients)
        frames, returned, sequence = source.frames(), back.frames(), 0
        for _ in numbers:
            capture = next(frames)
            sequence += 1 + capture.gap
            frame = Frame(np.float32(capture.image) / 255, sequence, capture.captured_ns, None, pose=capture.pose)
            igtl_sink.present(frame.pixels, frame, False)
            got.append(next(returned))
    assert sum(one.gap for one in got) == len([n for n in range(1, 301) if not n % 7])
    for number, capture in zip(numbers, got, strict=True):
        assert greys([capture]) == [number % 256]
        assert same(capture.pose, pose_of(number))


def test_transforms_go_with_the_next_image_and_with_no_other(igtl_serve) -> None:
    def transform(name: str, value: float) -> bytes:
        return b"".join(pack_transform(Transform(name, np.diag([value, value, value, 1.0])), 1.0))

    bad = bytearray(message(3, 3))
    bad[-5] ^= 0xFF
    script = [
        transform("A", 1),
        transform("B", 2),
        transform("A", 3),
        message(1, 1),
        message(2, 2),
        transform("A", 4),
        bytes(bad),
        transform("A", 5),
        invalid(4),
        transform("B", 6),
        message(5, 5),
    ]
    captures = take(igtl_serve(script).url, 4)
    assert greys(captures) == [1, 2, None, 5]
    poses = [capture.pose or Pose() for capture in captures]
    found = [[(one.name, one.matrix[0, 0]) for one in pose.transforms] for pose in poses]
    assert found == [[("A", 1), ("B", 2), ("A", 3)], [], [], [("B", 6)]]


@pytest.mark.parametrize("kind", ["TDATA", "QTDATA", "POSITION", "QTRANS"])
def test_tracking_of_every_type_goes_with_the_images(igtl_serve, kind: str) -> None:
    place = struct.pack(">7f", 1, 2, 3, 0, 0, 0, 1)
    matrix = struct.pack(">12f", 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3)
    content = place if kind in ("POSITION", "QTRANS") else bytes(22) + (matrix if kind == "TDATA" else place)
    head = struct.pack(">H12s20sIIQQ", 1, kind.encode(), b"Needle", 1000, 0, len(content), 0)
    (capture,) = take(igtl_serve([head + content, message(1, 1)]).url, 1)
    assert capture.pose is not None
    ((name, found),) = [(one.name, one.matrix) for one in capture.pose.transforms]
    assert name == "Needle" and found[:3, 3].tolist() == [1, 2, 3] and (found[:3, :3] == np.eye(3)).all()


def test_transforms_are_forwarded_before_their_image(igtl_sink) -> None:
    client = pyigtl.OpenIGTLinkClient("127.0.0.1", igtl_sink.port)
    wait_for(lambda: igtl_sink.clients)
    pixels, pose = np.zeros((6, 8), np.float32), pose_of(3)
    igtl_sink.present(pixels, Frame(pixels, 3, time.perf_counter_ns(), pose=pose), False)
    image = client.wait_for_message("edgerecon", timeout=10)
    probe = client.wait_for_message("ProbeToTracker", timeout=10)
    client.stop()
    np.testing.assert_array_equal(np.float32(probe.matrix), np.float32(pose.transforms[0].matrix))
    np.testing.assert_allclose(image.ijk_to_world_matrix, pose.plane.matrix((6, 8)), atol=1e-5)
    assert (probe.timestamp, image.timestamp) == (1003.5, 1003.5)


def test_close_ends_a_source_that_waits(igtl_serve) -> None:
    source = open_source(igtl_serve([message(1, 1)]).url)
    frames = source.frames()
    next(frames)
    rest: list[Capture] = []
    thread = threading.Thread(target=lambda: rest.extend(frames))
    thread.start()
    time.sleep(0.05)
    source.close()
    thread.join(60)
    assert not thread.is_alive() and not rest


def test_nobody_there_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SourceError, match="nobody answers at igtl://127.0.0.1.*start the OpenIGTLink server"):
        open_source(f"igtl://127.0.0.1:{port}")
    for nonsense in ("igtl://", "igtl://host:99999"):
        with pytest.raises(UsageError, match="igtl"):
            open_source(nonsense)
