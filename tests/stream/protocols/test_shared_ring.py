"""The shared-memory ring: its documented layout, a writer in another process, and what goes wrong between them."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.core.errors import SinkError, SourceError, UsageError
from edgerecon.core.frame import Frame
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.protocols.shared_ring import Ring, RingWriter, ring_path
from edgerecon.stream.sinks import StreamInfo, open_sink
from edgerecon.stream.sources import Capture, open_source
from tests.support.stream_fakes import GatedSource, KeepSink, ramp, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="rings lie in /dev/shm")

INFO = StreamInfo("source", "none", "none", "fp32", 1 / 30, 33.0, None, Counters())
U1 = np.dtype("<u1")

# Knows nothing but the documented layout, as a program in another language would.
FOREIGN = """
import mmap, os, struct, sys, time
path, slots, slot_bytes = sys.argv[1], 4, 64 + 128
handle = os.open(path + ".new", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
os.ftruncate(handle, 64 + slots * slot_bytes)
memory = mmap.mmap(handle, 0)
struct.pack_into("<8sIIQQQ", memory, 0, b"EDGERNG1", slots, 0, slot_bytes, 0, 0)
os.rename(path + ".new", path)
for line in sys.stdin:
    number, grey = map(int, line.split())
    at = 64 + number % slots * slot_bytes
    struct.pack_into("<Q", memory, at, 2 * number + 1)
    struct.pack_into("<QIIIIdd", memory, at + 8, 0, 6, 10, 1, 2, 0.3, 0.2)
    memory[at + 64 : at + 64 + 120] = struct.pack("<H", grey) * 60
    if grey == 13:
        os.kill(os.getpid(), 9)
    struct.pack_into("<Q", memory, at, 2 * number + 2)
    struct.pack_into("<Q", memory, 24, number + 1)
    print(number, flush=True)
"""


@pytest.fixture
def name() -> Iterator[str]:
    chosen = f"edgerecon-test-{uuid.uuid4().hex}"
    yield chosen
    for left in Path("/dev/shm").glob(f"*{chosen}*"):
        left.unlink()


class Foreign:
    def __init__(self, name: str) -> None:
        path = Path("/dev/shm") / name
        before = path.stat().st_ino if path.exists() else None
        self.process = subprocess.Popen(
            [sys.executable, "-ISc", FOREIGN, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        while not path.exists() or path.stat().st_ino == before:
            time.sleep(0.002)

    def write(self, number: int, grey: int) -> str:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{number} {grey}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def close(self) -> None:
        self.process.communicate(timeout=60)


def put(ring: RingWriter, *greys: int, shape=(4, 6), captured_ns: int = 0) -> None:
    for grey in greys:
        ring.begin(shape, U1)[:] = grey
        ring.commit(captured_ns, (0.2, 0.1))


def ring_of(name: str, frame_bytes: int = 24, slots: int = 8) -> RingWriter:
    return RingWriter(Path("/dev/shm") / name, frame_bytes, slots)


def grey(capture: Capture) -> int:
    assert capture.image is not None and capture.image.min() == capture.image.max()
    return int(capture.image.flat[0])


def test_a_foreign_writer_killed_within_a_frame_starts_again(name) -> None:
    writer = Foreign(name)
    with closing(open_source(f"shm://{name}")) as source:
        frames = source.frames()
        writer.write(0, 1000)
        first = next(frames)
        assert (grey(first), first.gap, first.image.dtype, first.image.shape) == (1000, 0, np.uint16, (6, 10))
        assert first.spacing_mm == (0.3, 0.2) and source.live
        writer.write(1, 13)
        assert writer.process.wait(60) == -signal.SIGKILL
        again = Foreign(name)
        again.write(0, 2000)
        second = next(frames)  # nothing of the half-written frame
        assert (grey(second), second.gap) == (2000, 1)
        again.close()


def test_nothing_is_copied_and_a_torn_frame_is_known(name) -> None:
    ring = ring_of(name, slots=4)
    with closing(open_source(f"shm://{name}")) as source:
        frames = source.frames()
        now = time.perf_counter_ns()
        put(ring, 1, captured_ns=now)
        capture = next(frames)
        assert capture.captured_ns == now and not capture.image.flags.owndata and not capture.image.flags.writeable
        assert capture.torn is not None and not capture.torn()
        put(ring, 2, 3, 4)
        assert not capture.torn() and grey(capture) == 1
        ring.begin((4, 6), U1)[:] = 5
        assert capture.torn() and grey(capture) == 5


def test_a_slow_reader_takes_the_newest_and_counts_the_rest(name) -> None:
    ring = ring_of(name, slots=8)
    put(ring, 99)
    with closing(open_source(f"shm://{name}")) as source:
        frames = source.frames()
        put(ring, 0, 1, 2, 3)
        assert [(grey(one), one.gap) for one in (next(frames), next(frames))] == [(0, 0), (1, 0)]  # 99 was there before
        put(ring, *range(4, 30))
        assert [(grey(one), one.gap) for one in (next(frames),)] == [(29, 27)]
        put(ring, 30)
        assert [(grey(one), one.gap) for one in (next(frames),)] == [(30, 0)]


def test_a_reader_at_any_pace_accounts_for_every_frame(name) -> None:
    ring, count = ring_of(name, slots=4), 3000
    with closing(open_source(f"shm://{name}")) as source:
        frames = source.frames()
        thread = threading.Thread(target=lambda: [put(ring, number % 251) for number in range(count)])
        thread.start()
        number = -1
        while number < count - 1:
            capture = next(frames)
            number += 1 + capture.gap
            copy = None if capture.image is None else capture.image.copy()
            if copy is not None and not capture.torn():
                assert (copy == number % 251).all()
        thread.join(60)
    assert number == count - 1


def test_the_sink_writes_what_the_source_reads_at_any_size(name) -> None:
    sink = open_sink(f"shm://{name}")
    sink.open(INFO)

    def show(value: int, shape: tuple[int, int]) -> None:
        pixels = np.full(shape, value / 255, np.float32)
        sink.present(pixels, Frame(pixels, value, time.perf_counter_ns(), (0.5, 0.4)), False)

    show(0, (4, 4))
    with closing(open_source(f"shm://{name}")) as source:
        frames = source.frames()
        for value, shape in ((7, (4, 4)), (8, (2, 5)), (9, (40, 30)), (10, (40, 30))):
            show(value, shape)
            capture = next(frames)
            assert (grey(capture), capture.image.shape, capture.gap) == (value, shape, int(value == 9))
        sink.close()
        assert not (Path("/dev/shm") / name).exists()
        thread = threading.Thread(target=lambda: next(frames, None))
        thread.start()
        time.sleep(0.05)
        source.close()
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize("spacing", [(1e300, 0.2), (0.2, float("nan")), (-1.0, 0.2), (1e-300, 1e-300)])
def test_a_spacing_that_no_scanner_has_is_left_out(name, spacing) -> None:
    writer = RingWriter(ring_path(name), 16)
    writer.begin((4, 4), np.dtype("<u1"))[:] = 7
    writer.commit(0, spacing)
    found = Ring(ring_path(name)).frame(0)
    writer.close()
    assert found is not None and found.spacing_mm is None


def test_rings_that_lie(name) -> None:
    path = Path("/dev/shm") / name
    with pytest.raises(SourceError, match=f"there is no ring /dev/shm/{name}: start the program"):
        open_source(f"shm://{name}")
    good = struct.pack("<8sIIQQQ", b"EDGERNG1", 4, 0, 128, 0, 0)
    for lie in (
        b"",
        b"x" * 500,
        good,
        good.replace(b"\4", b"\0", 1) + bytes(900),
        b"EDGERNG0" + good[8:] + bytes(900),
    ):
        path.write_bytes(lie)
        with pytest.raises(SourceError, match="cannot be read"):
            open_source(f"shm://{name}")
    with pytest.raises(UsageError, match="no name of a ring"):
        open_source("shm://../etc/passwd")


def in_place(path: Path, greys: tuple[int, ...], side: int, slots: int = 4) -> None:
    """What a program does that opens its ring with O_TRUNC, and begins anew in the same file."""
    slot_bytes = 64 + -(-side * side // 64) * 64
    os.truncate(path, 0)
    with path.open("r+b") as file:
        file.truncate(64 + slots * slot_bytes)
        for number, value in enumerate(greys):
            file.seek(64 + number % slots * slot_bytes)
            file.write(struct.pack("<QQIIIIdd16x", 2 * number + 2, 0, side, side, 1, 1, 0.2, 0.2))
            file.write(bytes([value]) * (side * side))
        file.seek(0)
        file.write(struct.pack("<8sIIQQQ", b"EDGERNG1", slots, 0, slot_bytes, len(greys), 0))


@pytest.mark.parametrize("side", [4, 5, 40], ids=["the same size", "a smaller slot", "a larger one"])
def test_a_ring_that_is_truncated_does_not_end_its_reader(name, side) -> None:
    ring = ring_of(name, frame_bytes=25 if side == 4 else 200, slots=4)
    with closing(open_source(f"shm://{name}")) as source:
        frames = source.frames()
        put(ring, 1)
        held = next(frames)
        os.truncate(ring_path(name), 0)
        assert held.torn()
        in_place(ring_path(name), (7, 8), side)  # more frames than were read of the one before
        found = [(grey(one), one.image.shape) for one in (next(frames), next(frames))]
    assert found == [(7, (side, side)), (8, (side, side))]


def test_a_ring_that_is_truncated_is_waited_for(name) -> None:
    put(ring_of(name), 1)
    opened = Ring(ring_path(name))
    os.truncate(ring_path(name), 100)
    assert (opened.changed, opened.written, opened.ended) == (True, 0, True)
    with pytest.raises(ValueError, match="the writer changed the ring"):
        opened.frame(0)


def test_a_damaged_count_is_no_gap(name) -> None:
    ring = ring_of(name)
    with closing(open_source(f"shm://{name}")) as source:
        frames = source.frames()
        put(ring, 1)
        assert grey(next(frames)) == 1
        ring._bytes[24:32].view("<u8")[0] = 1 << 60
        assert Ring(ring_path(name)).written == 0
        put(ring, 2)
        second = next(frames)
    assert (grey(second), second.gap) == (2, 0)


def test_frames_that_lie_are_faults(name) -> None:
    ring = ring_of(name)
    with closing(open_source(f"shm://{name}")) as source:
        frames = source.frames()
        for number, about in enumerate(
            ((1 << 31, 1 << 31, 1, 1), (4, 6, 2, 1), (4, 6, 1, 9), (0, 6, 1, 1), (5, 13, 1, 1))
        ):
            put(ring, number)
            slot = ring._slot(number)
            slot[16:32].view("<u4")[:] = about
            capture = next(frames)
            assert capture.image is None and "damaged frame" in (capture.fault or "")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 191), st.binary(min_size=1, max_size=16)), max_size=6))
def test_whatever_stands_in_a_ring_does_no_harm(scribbles) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ring"
        ring = RingWriter(path, 24, 4)
        put(ring, 1, 2, 3)
        with path.open("r+b") as file:
            for at, scribble in scribbles:
                file.seek(at)
                file.write(scribble[: 192 - at])
        try:
            damaged = Ring(path)
        except ValueError:
            return
        for number in (0, 1, damaged.written, damaged.written - 1):
            try:
                frame = damaged.frame(number)
            except ValueError:
                continue
            assert frame is None or frame.pixels.copy().size > 0


def test_no_room_is_one_line(name, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    pixels = np.zeros((4, 4), np.float32)
    with pytest.raises(SinkError, match=f"cannot make /dev/shm/{name}: No space left"):
        open_sink(f"shm://{name}").present(pixels, Frame(pixels, 0, 0), False)
    assert not list(Path("/dev/shm").glob(f"*{name}*"))


def test_a_sink_without_room_comes_back_when_there_is_some(name, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerecon.stream.loop.fanout._WAIT_S", 0.01)
    counters: list[Counters] = []
    allocate, room = os.posix_fallocate, threading.Event()

    def full(*args: int) -> None:
        if not room.is_set():
            room.set()
            raise OSError(28, "No space left on device")
        allocate(*args)

    def gate(index: int) -> None:
        if index == 3:
            until(lambda: counters and counters[-1].sinks_back)

    monkeypatch.setattr("os.posix_fallocate", full)
    keep = KeepSink()
    keep.quick = True
    report = stream(
        GatedSource(ramp(6), gate),
        None,
        [open_sink(f"shm://{name}"), keep],
        policy="every",
        pace=False,
        on_progress=counters.append,
    )
    assert report.counts["sinks_lost"] == report.counts["sinks_back"] == 1 and report.error is None
    assert report.presented == 6 and not list(Path("/dev/shm").glob(f"*{name}*"))


def test_what_is_no_ring_is_not_replaced(name) -> None:
    path = Path("/dev/shm") / name
    path.write_bytes(b"another program's memory")
    pixels = np.zeros((4, 4), np.float32)
    with pytest.raises(SinkError, match="another program's memory has that name"):
        open_sink(f"shm://{name}").present(pixels, Frame(pixels, 0, 0), False)
    assert path.read_bytes() == b"another program's memory"


OURS = """
import sys, time
from edgerecon.stream.protocols.shared_ring import RingWriter, ring_path
ring = RingWriter(ring_path(sys.argv[1]), 24)
print("made", flush=True)
time.sleep(60)
"""


def test_a_ring_is_taken_over_from_a_dead_writer_only(name) -> None:
    child = subprocess.Popen([sys.executable, "-c", OURS, name], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None and child.stdout.readline() == b"made\n"
        sink, pixels = open_sink(f"shm://{name}"), np.zeros((40, 60), np.float32)
        with pytest.raises(SinkError, match=f"cannot make /dev/shm/{name}: another stream writes it"):
            sink.open(INFO)
    finally:
        child.kill()
        child.communicate(timeout=60)
    sink.open(INFO)
    for size in (4, 40):
        sink.present(pixels[:size], Frame(pixels[:size], 0, 0), False)
        with pytest.raises(SinkError, match="another stream writes it"):
            open_sink(f"shm://{name}").open(INFO)
    sink.close()
    assert not list(Path("/dev/shm").glob(f"*{name}*"))


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_c_program_of_the_documentation_writes_a_ring(name, tmp_path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "stream" / "scanners.md").read_text()
    source, program = tmp_path / "writer.c", tmp_path / "writer"
    source.write_text(page.partition("```c\n")[2].partition("```")[0])
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source], check=True, timeout=120)
    ring = ring_of(name)  # another writer's, which the program replaces
    with closing(open_source(f"shm://{name}")) as reader:
        with subprocess.Popen([program, name]) as writer:
            frames = reader.frames()
            captures = [next(frames) for _ in range(5)]
            greys = [grey(capture) for capture in captures[-1:]]
            writer.kill()
    assert [one.gap for one in captures[1:]] == [0] * 4 and captures[0].gap >= 1
    assert greys[0] >= 4 and captures[0].image.shape == (480, 640) and captures[0].spacing_mm == (0.2, 0.2)
    ring.close()
