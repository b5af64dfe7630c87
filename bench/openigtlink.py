"""Whether OpenIGTLink keeps up at 640×480, in and out, and loses nothing unseen.

A sender and a receiver, each a process of its own, stand for a scanner and for 3D Slicer:
sender → igtl:// source → stream without a model → igtl:// sink → receiver. The sender makes real messages with
checksums, leaves out every 97th number on purpose, and sends each frame when it is due, whether or not the stream keeps
up: what cannot be taken at once waits in the network (policy `every`). Every number must be found at the end: received,
left out, or counted as dropped. Run it as

    python bench/openigtlink.py --fps 200 --seconds 20 --json bench/results/openigtlink.json
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

import numpy as np

from edgerecon.device import host_profile
from edgerecon.stream.loop import stream
from edgerecon.stream.openigtlink import pack_image
from edgerecon.stream.sinks.igtl import IgtlServerSink
from edgerecon.stream.sources.igtl import IgtlSource

SHAPE = (480, 640)
LEFT_OUT_EVERY = 97
PAUSE_S = 0.3


def send(port: Connection, fps: float, seconds: float) -> None:
    """Sends frames numbered from 1; tells how many it left out, and how late the last one was."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, *SHAPE), np.uint8)
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
                    for part in pack_image(images[number % 8], (0.2, 0.2), "Probe", number, time.time()):
                        connection.sendall(part)
            took = time.perf_counter() - start
            port.send({"numbers": numbers, "left_out": left_out, "fps": numbers / took})
            port.recv()


def receive(port: Connection, address: tuple[str, int]) -> None:
    """Takes frames until told to stop; tells how many came, and how many it saw missing."""
    with closing(IgtlSource(*address)) as source:
        port.send("connected")
        threading.Thread(target=lambda: (port.recv(), source.close()), daemon=True).start()
        came = gaps = faults = 0
        first = last = 0.0
        for capture in source.frames():
            last = time.perf_counter()
            first = first or last
            came, gaps, faults = came + 1, gaps + capture.gap, faults + (capture.image is None)
        port.send({"came": came, "gaps": gaps, "faults": faults, "fps": (came - 1) / (last - first - 2 * PAUSE_S)})


def measure(fps: float, seconds: float) -> dict[str, object]:
    context = multiprocessing.get_context("spawn")
    to_sender, sender_end = context.Pipe()
    to_receiver, receiver_end = context.Pipe()
    sink = IgtlServerSink()
    sender = context.Process(target=send, args=(sender_end, fps, seconds))
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
        report = stream(source, None, [sink], policy="every", stop=stop, deadline_ms=1e3 / fps)
    to_sender.send("done")
    to_receiver.send("done")
    received = to_receiver.recv()
    sender.join()
    receiver.join()
    lost_inside = report.dropped + report.failed
    return {
        "shape": SHAPE,
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
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    result = measure(arguments.fps, arguments.seconds) | {"load_before": load, "host": host_profile()}
    text = json.dumps(result, indent=1, default=str)
    print(text)  # noqa: T201 - what it is for
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
