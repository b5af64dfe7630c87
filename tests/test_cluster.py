"""A real Ray cluster of two nodes on this machine: simulation as here, a node that is lost, and jobs that fail."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgerecon.cluster import spread_over
from edgerecon.errors import DependencyError, EdgereconError, UsageError


def _job(number: int) -> tuple[int, int]:
    """Its square and the process that found it; 99 is refused, 100 fails."""
    if number == 99:
        raise EdgereconError("99 is refused")
    if number == 100:
        raise ZeroDivisionError("by 100")
    time.sleep(0.1)
    return number**2, os.getppid()


def test_two_nodes_and_then_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from edgerecon.data.simulate import simulate
    from edgerecon.data.simulate.sample import simulate_sample

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else a machine that is busy with other tests starves the nodes
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the nodes do not have the tests
    node = {"num_cpus": 1, "object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        second = cluster.add_node(**node)
        with spread_over(cluster.address) as spread:
            nodes: set[int] = set()
            deadline = time.monotonic() + 60
            while len(nodes) < 2 and time.monotonic() < deadline:  # the second one's worker may still be starting
                found = list(spread(_job, range(6)))
                assert [square for square, _ in found] == [0, 1, 4, 9, 16, 25]
                nodes |= {node for _, node in found}
            assert len(nodes) == 2, "both nodes worked"

            assert simulate(tmp_path / "a.h5", 1, seed=5, spread=spread) == 1
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
    finally:
        cluster.shutdown()


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
