"""The file of streams: what it means, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerecon.core.errors import ConfigError
from edgerecon.stream.serve.config import kind_of, load_config

GOOD = """
[[stream]]
name = "bed 1"
source = "sim://"

# the second
[[stream]]
name = "bed 2"
source = "cine.dcm"
model = "compact-despeckle"
sinks = ["viewer", "metrics:9000", "out.mp4"]
ladder = ["auto"]
deadline_ms = 20
"""


def test_a_good_file(tmp_path: Path) -> None:
    (tmp_path / "streams.toml").write_text(GOOD)
    first, second = load_config(tmp_path / "streams.toml").stream
    assert (first.name, first.model, first.sinks, first.policy, first.cpus) == ("bed 1", None, ("null",), None, 1.0)
    assert second.deadline_ms == 20 and second.ladder == ("auto",)
    assert [kind_of(uri).name for uri in second.sinks] == ["viewer", "metrics", "MP4"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("deadline_ms = 20", "deadline_ms = -1"), r":13: stream\.deadline_ms: it should be greater than 0, not -1"),
        (("deadline_ms = 20", "deadline_ms = inf"), r":13: stream\.deadline_ms: .*finite"),
        (
            ("deadline_ms = 20", "deadlin = 20"),
            r":13: stream\.deadlin: .* did you mean deadline_ms\? Known: name, source, .*gpus$",
        ),
        (('source = "cine.dcm"\n', ""), r":7: stream\.source: it is absent: give one"),
        (('"compact-despeckle"', '"nothing"'), r":10: stream\.model: no model 'nothing' ships"),
        (('model = "compact-despeckle"\n', ""), r":11: stream\.ladder: a ladder steps down from a model"),
        (("ladder", 'backend = "quick"\nladder'), r":12: stream\.backend: unknown backend 'quick': choose auto or"),
        (("ladder", 'policy = "all"\nladder'), r":12: stream\.policy: it should be 'latest' or 'every', not 'all'"),
        (("bed 2", "bed 1"), r": 2 streams have the name 'bed 1': give each its own"),
        (('"sim://"', '"sim://"\nsinks = ["out.mp4"]'), r": 2 streams write to 'out.mp4'"),
        (('"sim://"', '"sim://"\nsinks = ["viewer"]'), None),
        (("[[stream]]", "[[streams]]"), r":2: streams: there is no such key: did you mean stream\?"),
        (("deadline_ms = 20", 'sink = "viewer"'), r":13: stream\.sink: .* did you mean sinks\?"),
        (("deadline_ms = 20", 'loop = "often"'), r":13: stream\.loop: it should be true or false, not 'often'"),
        (("deadline_ms = 20", "frames = true"), r":13: stream\.frames: it should be a whole number, not True"),
        (("deadline_ms = 20", 'frames = "3"'), r":13: stream\.frames: it should be a whole number, not '3'"),
        (("deadline_ms = 20", "strength = true"), r":13: stream\.strength: it should be a number, not True"),
        (("deadline_ms = 20", "loop = 1"), r":13: stream\.loop: it should be true or false, not 1"),
        (("deadline_ms = 20", "frames = 1979-05-27"), r":13: stream\.frames: it should be a whole number"),
        (('["auto"]', '"auto"'), r":12: stream\.ladder: it should be a list in \[ \], not 'auto'"),
        ((GOOD, '[stream]\nname = "bed 1"'), r":1: stream: write \[\[stream\]\] above each"),
        ((GOOD, "stream = []"), r": there is no stream: write a \[\[stream\]\] table for each"),
        (('"bed 1"', "bed 1"), r"is not valid TOML: .*line 3"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, change: tuple[str, str], message: str | None) -> None:
    path = tmp_path / "streams.toml"
    path.write_text(GOOD.replace(*change, 1) if change[0] != "[[stream]]" else GOOD.replace(*change))
    if message is None:
        assert load_config(path)
        return
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_of_an_editor_on_windows(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert [one.name for one in load_config(tmp_path / "a.toml").stream] == ["bed 1", "bed 2"]


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere.toml: No such file"):
        load_config(tmp_path / "nowhere.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_text("")
    with pytest.raises(ConfigError, match=r"b\.toml: there is no stream: write a \[\[stream\]\] table"):
        load_config(tmp_path / "b.toml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"viewer"', '"viewer:99999"'), r":11: stream\.sinks: .*'99999' is not an address: give viewer:PORT"),
        (('"viewer"', '"igtl://:70000"'), r":11: stream\.sinks: .*has no port that can be"),
        (('"viewer"', '"dicom://host:70000/T"'), r":11: stream\.sinks: .*has no port that can be"),
        (('"viewer"', '"shm://a/b"'), r":11: stream\.sinks: .*is no name of a ring"),
        (('"viewer"', '"viewer?colour=red"'), r":11: stream\.sinks: .*the viewer has no option 'colour'"),
        (('"viewer"', '"viewr"'), r":11: stream\.sinks: .*unknown sink 'viewr'"),
        (('"out.mp4"', '"out\\u0000.mp4"'), r":11: stream\.sinks: .*'out\\x00\.mp4' is no name"),
        (('"sim://"', '"a\\u0000.dcm"'), r":4: stream\.source: .*is no name of a source"),
        (('"sim://"', '"igtl://host:70000"'), r":4: stream\.source: .*has no port that can be"),
        (('"bed 1"', '"bed\\u00001"'), r":3: stream\.name: "),
    ],
)
def test_addresses_that_cannot_be_are_refused_at_load(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    (tmp_path / "streams.toml").write_text(GOOD.replace(*change, 1))
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(tmp_path / "streams.toml")
    assert str(caught.value).isprintable()
