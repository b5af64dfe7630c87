"""Whether OpenIGTLink keeps up at 640×480, in and out, loses nothing unseen and mixes up no poses.

A sender and a receiver, each a process of its own, stand for a scanner and for 3D Slicer:
sender → igtl:// source → stream without a model → igtl:// sink → receiver. The sender makes real messages with
checksums, leaves out every 97th number on purpose, and sends each frame when it is due, whether or not the stream keeps
up: what cannot be taken at once waits in the network (policy `every`) or is overtaken (`latest`). Every number must be
found at the end: received, left out, or counted as dropped.

The sender is a tracked probe that sweeps: each image has a pose of its own, and a TRANSFORM message before it. The
number is in the image's first pixels, too, so that the receiver knows which pose belongs to it: a pose is wrong when
one bit of its matrix, of the transform's or of the time is another. Run it as

    python bench/openigtlink.py --fps 200 --seconds 20 --json bench/results/openigtlink.json
    python bench/openigtlink.py --fps 200 --seconds 500 --size 160x120 --policy latest       # 100 000 poses
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import threading
import time
from contextlib import closing
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import numpy as np

from edgerecon.core.pose import Plane, Pose, Transform
from edgerecon.hardware.device import host_profile
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.protocols.openigtlink import pack_image, pack_transform
from edgerecon.stream.sinks.igtl import IgtlServerSink
from edgerecon.stream.sources.live.igtl import IgtlSource

LEFT_OUT_EVERY = 97
PAUSE_S = 0.3
QUIET_S = 2.0
EPOCH_S = 1_700_000_000


def pose_of(number: int) -> Pose:
    """Where the probe is at frame ``number``: it turns and moves, by amounts that no two frames share.

    All numbers are float32, and the times multiples of 1/256 s, as OpenIGTLink holds them exactly.
    """
    turn, tilt = number * 1e-3, number * 7e-4
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    rotation = about_z @ about_x
    centre = np.array([100 * np.sin(turn), -80 * np.cos(tilt), number / 64])
    probe = np.eye(4)
    probe[:3] = _float32(np.column_stack([rotation, -centre]))
    time_s = EPOCH_S + number / 256
    plane = Plane(_float32(rotation * [0.1, 0.2, 1.0]), _float32(centre))
    return Pose(plane, (Transform("ProbeToTracker", probe, timestamp_s=time_s),), time_s)


def _float32(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(np.float32).astype(np.float64)


def bits_of(pose: Pose | None) -> tuple[object, ...]:
    """All that a pose says, to be compared bit for bit."""
    if pose is None or pose.plane is None:
        return ()
    transforms = tuple((one.name, one.status, one.timestamp_s, one.matrix.tobytes()) for one in pose.transforms)
    return pose.plane.axes.tobytes(), pose.plane.centre.tobytes(), pose.plane.coordinates, pose.timestamp_s, transforms


def send(port: Connection, fps: float, seconds: float, shape: tuple[int, int]) -> None:
    """Sends frames numbered from 1; tells how many it left out, and how late the last one was."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, *shape), np.uint8)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port.send(listener.getsockname()[1])
        connection, _ = listener.accept()
        with connection:
            start, numbers, left_out = time.perf_counter(), round(fps * seconds), 0
            for number in range(1, numbers + 1):
                time.sleep(max(0.0, start + number / fps - time.perf_counter()))
                if number in (2, numbers):
                    time.sleep(PAUSE_S)  # so that the first and the last arrive, and every loss lies between two frames
                    start += PAUSE_S
                if number % LEFT_OUT_EVERY == 0:
                    left_out += 1
                else:
                    image, pose = images[number % 8], pose_of(number)
                    image[0, :4] = np.frombuffer(number.to_bytes(4, "big"), np.uint8)
                    parts = [part for one in pose.transforms for part in pack_transform(one, 0.0)]
                    parts += pack_image(image, None, "Probe", number, pose.timestamp_s or 0.0, pose.plane)
                    connection.sendall(b"".join(parts))
            took = time.perf_counter() - start
            port.send({"numbers": numbers, "left_out": left_out, "fps": numbers / took})
            port.recv()


def receive(port: Connection, address: tuple[str, int]) -> None:
    """Takes all frames that were sent until it was told of the end; tells how many came, how many it saw missing, and
    whose pose was wrong."""
    with closing(IgtlSource(*address)) as source:
        port.send("connected")
        came = gaps = faults = wrong = 0
        first = last = 0.0

        def close_behind_the_last() -> None:
            port.recv()
            while time.perf_counter() - last < QUIET_S:  # the network holds frames that were sent long ago
                time.sleep(QUIET_S / 10)
            source.close()

        threading.Thread(target=close_behind_the_last, daemon=True).start()
        for capture in source.frames():
            last = time.perf_counter()
            first = first or last
            came, gaps, faults = came + 1, gaps + capture.gap, faults + (capture.image is None)
            number = 0 if capture.image is None else int.from_bytes(capture.image[0, :4].tobytes(), "big")
            wrong += bits_of(capture.pose) != bits_of(pose_of(number))
        fps = (came - 1) / max(last - first - 2 * PAUSE_S, 1e-9)
        port.send({"came": came, "gaps": gaps, "faults": faults, "wrong_poses": wrong, "fps": fps})


def measure(
    fps: float,
    seconds: float,
    shape: tuple[int, int] = (480, 640),
    policy: Literal["latest", "every"] = "every",
) -> dict[str, object]:
    """Run sender, stream and receiver to the end; see the module's docstring for what is counted."""
    context = multiprocessing.get_context("spawn")
    to_sender, sender_end = context.Pipe()
    to_receiver, receiver_end = context.Pipe()
    sink = IgtlServerSink()
    sender = context.Process(target=send, args=(sender_end, fps, seconds, shape))
    receiver = context.Process(target=receive, args=(receiver_end, ("127.0.0.1", sink.port)))
    sender.start()
    receiver.start()
    to_receiver.recv()
    sent: dict[str, float] = {}
    stop = threading.Event()
    with closing(IgtlSource("127.0.0.1", to_sender.recv())) as source:

        def wait_for_the_sender() -> None:
            sent.update(to_sender.recv())
            time.sleep(1.0)  # what is on its way arrives
            stop.set()

        threading.Thread(target=wait_for_the_sender, daemon=True).start()
        report = stream(source, None, [sink], policy=policy, stop=stop, deadline_ms=1e3 / fps)
    to_sender.send("done")
    to_receiver.send("done")
    received = to_receiver.recv()
    sender.join()
    receiver.join()
    lost_inside = report.dropped + report.failed
    return {
        "shape": shape,
        "policy": policy,
        "checksums": "fastcrc" if find_spec("fastcrc") else "pyigtl",
        "sent": sent,
        "source": {"frames_in": report.frames_in, "gaps": report.gaps},
        "stream": {"presented": report.presented, "dropped": report.dropped, "failed": report.failed},
        "latency_ms": report.latency_ms,
        "received": received,
        "sink_skipped": sink.skipped,
        "gaps_exact": report.gaps == sent["left_out"] and report.frames_in + report.gaps == sent["numbers"],
        "gaps_exact_behind": received["gaps"] == sent["left_out"] + lost_inside + sink.skipped,
        "unaccounted": report.frames_in - lost_inside - received["came"] - sink.skipped,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fps", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--size", default="640x480", help="WIDTHxHEIGHT")
    parser.add_argument("--policy", choices=("every", "latest"), default="every")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    width, height = map(int, arguments.size.split("x"))
    result = measure(arguments.fps, arguments.seconds, (height, width), arguments.policy)
    result |= {"load_before": load, "host": host_profile()}
    text = json.dumps(result, indent=1, default=str)
    print(text)  # noqa: T201 - what it is for
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
