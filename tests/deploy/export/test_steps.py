from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgerecon.core.errors import EdgereconError
from edgerecon.core.files import write
from edgerecon.deploy.export.steps import LEDGER, Steps


class Chain:
    """Two steps, the second fed by the first."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.states = folder, {}  # type: ignore[var-annotated]

    def run(self, seed: int, gain: int = 1, fails: bool = False) -> Any:
        self.states.clear()
        steps = Steps(self.folder, lambda name, state: self.states.update({name: state}))

        def first() -> dict[str, Any]:
            write(self.folder / "a", str(seed).encode())
            return {"seed": seed}

        def second() -> dict[str, Any]:
            write(self.folder / "b", b"half")
            if fails:
                raise KeyboardInterrupt
            write(self.folder / "b", f"{seed * gain}".encode())
            return {"result": seed * gain}

        steps.run("first", {"seed": seed}, ["a"], first)
        return steps.run("second", {"a": steps.hash_of("a"), "gain": gain}, ["b"], second)["result"]


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path / "work")


def test_what_has_not_changed_is_skipped(chain: Chain) -> None:
    assert chain.run(3) == 3 and chain.states == {"first": "runs", "second": "runs"}
    assert chain.run(3) == 3 and chain.states == {"first": "unchanged", "second": "unchanged"}
    assert chain.run(3, gain=2) == 6 and chain.states == {"first": "unchanged", "second": "runs"}
    assert chain.run(4, gain=2) == 8 and set(chain.states.values()) == {"runs"}


def test_a_touched_or_lost_file_is_made_again(chain: Chain) -> None:
    chain.run(3)
    (chain.folder / "b").write_text("tampered")
    assert chain.run(3) == 3 and chain.states == {"first": "unchanged", "second": "runs"}
    (chain.folder / "a").unlink()
    assert chain.run(3) == 3 and chain.states == {"first": "runs", "second": "unchanged"}
    (chain.folder / LEDGER).write_text("{broken")
    assert chain.run(3) == 3 and set(chain.states.values()) == {"runs"}


def test_an_interrupted_step_is_not_taken_for_done(chain: Chain) -> None:
    chain.run(3)
    with pytest.raises(KeyboardInterrupt):
        chain.run(3, gain=5, fails=True)
    assert chain.run(3, gain=5) == 15 and chain.states["second"] == "runs"


def test_an_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgereconError, match="cannot write"):
        Steps(tmp_path / "file" / "work")
