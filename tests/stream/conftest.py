"""Ends of an OpenIGTLink connection, for the tests of the source and of the sink."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.igtl import IgtlServerSink
from tests.stream.sources.igtl_server import INFO, Server


@pytest.fixture
def igtl_serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*scripts) -> Server:
        servers.append(Server(*scripts))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def igtl_sink() -> Iterator[IgtlServerSink]:
    made = open_sink("igtl://:0")
    assert isinstance(made, IgtlServerSink)
    made.open(INFO)
    yield made
    made.close()
