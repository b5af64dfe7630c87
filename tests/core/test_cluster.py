"""A real Ray cluster of two nodes on this machine: simulation as here, streams, nodes that are lost, jobs that fail."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgerecon.core.cluster import spread_over
from edgerecon.core.errors import DependencyError, EdgereconError, UsageError
from edgerecon.stream.serve.ledger import Look


def _job(number: int) -> tuple[int, int]:
    """Its square and the process that found it; 99 is refused, 100 fails."""
    if number == 99:
        raise EdgereconError("99 is refused")
    if number == 100:
        raise ZeroDivisionError("by 100")
    time.sleep(0.1)
    return number**2, os.getppid()


_NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}
STARTED_S = 300


def _wait_for_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray gives a node 30 s to start, whatever else the machine does; here it has ten times as long."""
    from ray._private import services

    ask = services.get_node

    def get_node(*names: Any, **more: Any) -> Any:
        deadline = time.monotonic() + STARTED_S
        while True:
            try:
                return ask(*names, **more)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    monkeypatch.setattr(services, "get_node", get_node)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Of one node, to which each test adds one."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        _wait_for_nodes(monkeypatch)
        monkeypatch.setenv("RAY_worker_niceness", "0")  # else a machine that is busy with other tests starves the nodes
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the nodes do not have the tests
        noticed = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000}  # else a loss takes 15 s
        head = {**_NODE, "include_dashboard": False, "_system_config": noticed}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield cluster
        finally:
            cluster.shutdown()


def test_two_nodes_and_then_one(cluster: Any, tmp_path: Path) -> None:
    from edgerecon.workshop.data.display.sample import simulate_sample
    from edgerecon.workshop.data.simulate import simulate

    second = cluster.add_node(**_NODE)
    with spread_over(cluster.address) as spread:
        nodes: set[int] = set()
        deadline = time.monotonic() + STARTED_S
        while len(nodes) < 2 and time.monotonic() < deadline:  # the second one's worker may still be starting
            found = list(spread(_job, range(6)))
            assert [square for square, _ in found] == [0, 1, 4, 9, 16, 25]
            nodes |= {node for _, node in found}
        assert len(nodes) == 2, "both nodes worked"

        assert simulate(tmp_path / "a.h5", 1, seed=5, spread=spread, kind="display") == 1
        import h5py

        with h5py.File(tmp_path / "a.h5") as file:
            images, _ = simulate_sample(5, 0)
            for name, image in images.items():
                np.testing.assert_array_equal(file["sample_00000"][name], image)

        with pytest.raises(EdgereconError, match="^99 is refused$"):
            list(spread(_job, [1, 99]))
        with pytest.raises(EdgereconError, match="a job failed on the cluster: ZeroDivisionError: by 100"):
            list(spread(_job, [100]))

        results = spread(_job, range(10, 18))
        squares = [next(results)[0]]
        cluster.remove_node(second, allow_graceful=False)
        squares += [square for square, _ in results]
        assert squares == [number**2 for number in range(10, 18)], "what the lost node had was done again"


def test_streams_of_a_lost_node_start_again_elsewhere(cluster: Any) -> None:
    from edgerecon.stream.serve.config import ServeConfig
    from edgerecon.stream.serve.placed import start_on_cluster
    from edgerecon.stream.serve.supervisor import Supervisor

    ray = pytest.importorskip("ray")
    second = cluster.add_node(**_NODE)
    source = {"source": "sim://?size=32x32&fps=50", "cpus": 0.5}
    config = ServeConfig.model_validate({"stream": [{"name": name, **source} for name in "ab"]})
    stop, before, deadline = threading.Event(), dict[str, Look](), time.monotonic() + STARTED_S

    def there(look: Look) -> bool:
        return look.place.endswith(second.node_id[:8])

    def act(looks: Mapping[str, Look]) -> None:
        for look in looks.values():
            tally = look.tally
            assert tally.frames_in == tally.presented + tally.dropped + tally.failed + tally.lost + tally.in_flight
        if not before and all(look.tally.presented for look in looks.values()):
            before.update(looks)
            cluster.remove_node(second, allow_graceful=False)
        elif before and all(look.state == "running" and not there(look) for look in looks.values()):
            stop.set()
        if time.monotonic() > deadline:
            stop.set()

    with start_on_cluster(cluster.address) as make:
        while sum(node["Alive"] for node in ray.nodes()) != 2 and time.monotonic() < deadline:
            time.sleep(0.1)  # the node of the test before may not be known to be gone
        supervisor = Supervisor(make)
        assert not supervisor.run(config, lambda: config, stop, threading.Event(), act)
        looks = supervisor.looks()
    assert sorted(there(look) for look in before.values()) == [False, True], "they were spread"
    for name, look in looks.items():
        lives = look.lives - before[name].lives  # more than one where Ray first tried the node that is no more
        assert lives >= 1 if there(before[name]) else lives == 0, "the lost one came back, the other was left alone"
        assert not there(look) and look.state == "ended" and look.error is None and look.tally.in_flight == 0
        assert look.tally.presented > before[name].tally.presented, "what was counted before stays counted"


def test_nothing_answers() -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    for form in (address, f"ray://{address}"):
        with pytest.raises(EdgereconError, match=f"cannot reach the Ray cluster at '{form}' .*is it running") as caught:
            with spread_over(form):
                pass
        assert "\n" not in str(caught.value)
    with pytest.raises(EdgereconError, match="no-such-host.invalid:6379"), spread_over("no-such-host.invalid:6379"):
        pass


def test_addresses_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("", "host", "http://host:1", "host:port", "a b:1"):
        with pytest.raises(UsageError, match="--ray is auto, HOST:PORT"), spread_over(text):
            pass
    with spread_over(None) as spread:
        assert spread is map
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyError, match=r"edgerecon\[cluster\]"), spread_over("127.0.0.1:6379"):
        pass
