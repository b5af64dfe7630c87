"""The three stories of docs/bring-your-own.md, as a person types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import UsageError
from edgerecon.modelfile.file import read_model
from tests.support.foreign_networks import Foreign, build

DOCS = Path(__file__).resolve().parents[3] / "docs" / "bring-your-own.md"
STORIES = {
    "dncnn": Foreign("dncnn", way="noise"),
    "unet": Foreign("unet", body="unet", given="-1..1"),
    "sr": Foreign("sr", body="srresnet", scale=2),
}


@pytest.mark.parametrize("name", STORIES)
def test_story_is_as_the_docs_tell_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(f"{name}.onnx").write_bytes(build(STORIES[name]).SerializeToString())
    found = re.search(rf"^    edgerecon (adopt {name}\.onnx -o {name}-mine.*)$", DOCS.read_text(), re.MULTILINE)
    assert found is not None
    words = found[1].split()
    if name == "unet":
        refused = CliRunner().invoke(app, words[: words.index("--range")])
        assert isinstance(refused.exception, UsageError) and "say it with --range" in str(refused.exception)
    result = CliRunner().invoke(app, [*words, "--json", "found.json"])
    assert result.exit_code == 0, result.output
    told = {one["what"]: one for one in json.loads(Path("found.json").read_text())["findings"]}
    spec = read_model(f"{name}-mine.onnx").spec
    assert spec.scale == (2 if name == "sr" else 1)
    assert ("frame − output" in told["range"]["found"]) == (name == "dncnn")
    assert (told["range"]["sure"] == "as you said") == (name == "unet")
