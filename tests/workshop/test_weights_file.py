"""Files of weights that hold code, damage or nothing: our own sentence, and no advice to load them all the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'edgerecon[train]'")

from edgerecon.core.errors import DataError  # noqa: E402
from edgerecon.workshop.train.perceptual import vgg19_features  # noqa: E402
from edgerecon.workshop.weights_file import read_weights  # noqa: E402


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("it ran",)


def damaged(path: Path) -> None:
    torch.save({"a": torch.ones(64)}, path)
    path.write_bytes(path.read_bytes()[:200])


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "code": (lambda path: torch.save({"a": Code()}, path), "holds no weights that are tensors alone"),
    "damage": (damaged, "is damaged"),
    "text": (lambda path: path.write_text("weights"), "is damaged"),
    "nothing": (lambda path: None, "cannot read the weights .*No such file"),
    "a pipe": (os.mkfifo, "it is no plain file"),
    "a folder": (Path.mkdir, "it is no plain file"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", [read_weights, vgg19_features])
def test_what_is_no_file_of_weights(
    kind: str, reader: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = KINDS[kind]
    make(tmp_path / "a.pt")
    with pytest.raises(DataError, match=words) as caught:
        reader(tmp_path / "a.pt")
    said = str(caught.value)
    assert "\n" not in said and "weights_only" not in said and str(tmp_path / "a.pt") in said
    assert capsys.readouterr().out == ""
