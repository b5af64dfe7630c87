"""Streams on other machines, with a pretended cluster: what is counted when one is lost. The real one: test_cluster."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from edgerecon import __version__
from edgerecon.stream.serve.config import StreamTable
from edgerecon.stream.serve.ledger import Look, Tally
from edgerecon.stream.serve.placed import Placed, _Host


class RayActorError(Exception):
    pass


class ActorUnavailableError(RayActorError):
    pass


class PretendedRay:
    """Each life is a list of what the stream says when it is looked at; an exception is raised, None: no answer yet."""

    exceptions = SimpleNamespace(RayActorError=RayActorError, ActorUnavailableError=ActorUnavailableError)

    def __init__(self, *lives: Sequence[Look | Exception | None]) -> None:
        self._lives = [list(life) for life in lives]
        self.tables: list[dict[str, Any]] = []
        self.options: dict[str, Any] = {}
        self.killed = 0
        self.stopped = 0

    def remote(self, cls: type) -> Any:
        def options(**needs: Any) -> Any:
            self.options = needs
            return SimpleNamespace(remote=self._start)

        return SimpleNamespace(options=options)

    def _start(self, version: str, table: dict[str, Any]) -> Any:
        assert version == __version__
        self.tables.append(table)
        life = self._lives[len(self.tables) - 1]
        return SimpleNamespace(
            look=SimpleNamespace(remote=lambda: life), stop=SimpleNamespace(remote=lambda: self._stop(life))
        )

    def _stop(self, life: list[Look | Exception | None]) -> None:
        self.stopped += 1
        life[:] = [Look("ended", tally=Tally(9, 9))]

    def wait(self, answers: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        time.sleep(0.001)
        life = answers[0]
        if life[0] is None:
            if len(life) > 1:
                life.pop(0)
            return [], answers
        return answers, []

    def get(self, life: list[Any]) -> dict[str, Any]:
        said = life.pop(0) if len(life) > 1 else life[0]
        if isinstance(said, Exception):
            raise said
        return said.to_plain()  # type: ignore[no-any-return]

    def kill(self, actor: Any) -> None:
        self.killed += 1


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerecon.stream.serve.placed.LOOK_EVERY_S", 0.001)
    monkeypatch.setattr("edgerecon.stream.serve.placed._WAIT_S", 0.001)


def table(**more: Any) -> StreamTable:
    return StreamTable(name="a", source="sim://", cpus=0.5, gpus=1, **more)


def lived(ray: PretendedRay, **more: Any) -> Look:
    placed = Placed(ray, table(**more))
    assert placed.wait(60)
    return placed.look()


def test_what_was_counted_outlives_the_machine(caplog: pytest.LogCaptureFixture) -> None:
    ray = PretendedRay(
        [None, Look(), Look("running", tally=Tally(10, 7, 1), place="one"), RayActorError("the node died")],
        [Look("running", tally=Tally(5, 5), place="two"), Look("ended", tally=Tally(6, 5, 0, 1), place="two")],
    )
    look = lived(ray, frames=30)
    assert look.tally == Tally(16, 12, 1, 1, lost=2) and look.tally.in_flight == 0
    assert (look.state, look.lives, look.place, look.error) == ("ended", 2, "two", None)
    assert [each["frames"] for each in ray.tables] == [30, 20], "what is left of the limit"
    assert ray.options["num_cpus"] == 0.5 and ray.options["num_gpus"] == 1 and ray.options["max_restarts"] == 0
    assert ray.killed == 2, "never two of one stream"
    assert caplog.messages == [
        "stream 'a' was lost with its machine one, 2 frames on their way: it starts again elsewhere"
    ]


def test_the_invariant_holds_at_every_moment() -> None:
    lives = [[Look("running", tally=Tally(n + 2, n)) for n in range(20)] + [RayActorError("")] for _ in range(3)]
    ray = PretendedRay(*lives, [Look("ended", tally=Tally(1, 1))])
    placed, seen = Placed(ray, table()), []
    while not placed.wait(0.0005):
        seen.append(placed.look().tally)
    seen.append(placed.look().tally)
    assert all(tally.frames_in == tally.presented + tally.lost + tally.in_flight for tally in seen)
    assert [tally.frames_in for tally in seen] == sorted(tally.frames_in for tally in seen), "nothing is taken back"
    assert seen[-1] == Tally(3 * 21 + 1, 3 * 19 + 1, lost=3 * 2)


def test_what_is_silent_for_a_moment_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = ActorUnavailableError("no route")
    one = Look("running", tally=Tally(3, 2))
    look = lived(PretendedRay([one, silent, silent, one, silent, Look("ended", tally=Tally(9, 9))]))
    assert look.tally == Tally(9, 9) and look.lives == 1

    monkeypatch.setattr("edgerecon.stream.serve.placed._SILENT_AT_MOST_S", 0.02)
    look = lived(PretendedRay([one, silent], [Look("ended", tally=Tally(4, 4))]))
    assert look.tally == Tally(7, 6, lost=1) and look.lives == 2, "for longer it is"


def test_stopped_in_order() -> None:
    ray = PretendedRay([Look("running", tally=Tally(3, 2))])
    placed = Placed(ray, table())
    while placed.look().state != "running":
        time.sleep(0.001)
    placed.stop()
    assert placed.wait(60) and ray.stopped == 1 and placed.look().tally == Tally(9, 9)


def test_stopped_while_it_waits_for_a_place(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("edgerecon.stream.serve.placed._SAY_PENDING_S", 0.0)
    ray = PretendedRay([None])
    placed = Placed(ray, table())
    while not caplog.messages:
        time.sleep(0.001)
    placed.stop()
    assert placed.wait(60) and placed.look().state == "ended" and ray.killed == 1
    assert caplog.messages == ["stream 'a' waits for a machine with 0.5 CPUs and 1 GPUs free"]


def test_lost_while_it_is_stopped_is_not_started_again() -> None:
    gone = threading.Event()

    class Ray(PretendedRay):
        def _stop(self, life: list[Look | Exception | None]) -> None:
            life[:] = [RayActorError("the node died")]
            gone.set()

    ray = Ray([Look("running", tally=Tally(3, 2))])
    placed = Placed(ray, table())
    while placed.look().state != "running":
        time.sleep(0.001)
    placed.stop()
    assert placed.wait(60) and gone.is_set() and len(ray.tables) == 1
    assert placed.look().tally == Tally(3, 2, lost=1) and placed.look().state == "ended"


def test_what_dies_at_birth_is_given_up() -> None:
    error = RayActorError("The actor died\nModuleNotFoundError: No module named 'edgerecon'")
    ray = PretendedRay(*[[error]] * 5)
    look = lived(ray)
    assert look.state == "failed" and len(ray.tables) == 5
    assert look.error == "it dies as soon as it is started: ModuleNotFoundError: No module named 'edgerecon'"


@pytest.mark.parametrize("say", [lambda: Look("failed", "no such probe"), lambda: RuntimeError("gone\nthe cluster")])
def test_a_failure_is_one_line(say: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    look = lived(PretendedRay([say()]))
    assert look.state == "failed" and look.error in ("no such probe", "RuntimeError: the cluster")
    assert caplog.messages == [f"stream 'a' failed: {look.error}"]


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(get_node_id=lambda: "0123456789")
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get_runtime_context=lambda: context))
    host = _Host("0.0.0", table().model_dump())
    look = Look.from_plain(host.look())
    assert look.state == "failed" and f"has edgerecon {__version__}, not 0.0.0: install the same" in str(look.error)
    host.stop()

    host = _Host(__version__, table(frames=2).model_dump())
    while not (look := Look.from_plain(host.look())).has_ended:
        time.sleep(0.01)
    assert look.place.endswith(" 01234567") and look.tally.presented + look.tally.dropped == 2
    host.stop()
