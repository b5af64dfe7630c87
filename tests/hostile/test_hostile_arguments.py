"""Every argument of every verb, given what no one should: one line and a status, never a traceback, never a hang."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.models import OptionInfo

from edgerecon.cli import main as cli
from edgerecon.core.shipped import resource_dir
from tests.support.hostile_inputs import NUMBERS, TEXTS, files

HANG_S = 120
OF_PYTHON = re.compile(
    r"\b[A-Z][A-Za-z]+(Error|Exception)\b|invalid literal|could not convert|has no attribute|NoneType"
)
"""What Python says of a value, which tells a user nothing."""
RECIPE = str(resource_dir("export") / "compact-despeckle.toml")
VERBS: dict[str, dict[str, str]] = {
    "stream": {"source": "sample", "frames": "1", "seconds": "2"},
    "adapt": {"recordings": "absent", "minutes": "0.01"},
    "adopt": {"model": "absent.onnx"},
    "recover": {},
    "beamform": {"file": "absent.uff", "out": "absent/a.npz"},
    "serve": {"config": "absent.toml"},
    "bench": {"models": "absent"},
    "simulate": {"out": "/dev/null/x.h5", "samples": "1"},
    "train": {"recipe": RECIPE, "data": "absent.h5"},
    "evaluate": {"model": "compact-despeckle", "data": "absent.h5"},
    "explain": {"model": "absent", "frame": "sample"},
    "study": {"only": "absent"},
    "export": {"recipe": RECIPE, "checkpoint": "absent.pt", "work": "work"},
    "models": {},
    "devices": {},
    "build": {"model": "compact-fpga", "device": "ecp5-85", "out": "/dev/null/x"},
    "fit": {"deadline": "1ms", "device": "absent"},
    "bundle": {"recipe": RECIPE, "device": "absent", "out": "b.tar.gz"},
    "install": {"archive": "absent.tar.gz", "prefix": "p"},
}
"""Verb → arguments with which it ends soon, so that each in turn may be replaced by something hostile."""

NAMES_OR_FILES = ("source", "model", "models", "frame", "recording", "sink")

NOT_TRIED = {"demo": "it needs no argument, and streams for ten seconds", "doctor": "it takes nothing but --json"}


@dataclass(frozen=True)
class Parameter:
    """option: e.g. "--frames", or None for an argument. takes: how many words."""

    name: str
    option: str | None
    is_number: bool
    is_flag: bool
    is_file: bool
    takes: int


def parameters(verb: str) -> list[Parameter]:
    """From the signature of the verb's function, as typer reads it."""
    function = next(one.callback for one in cli.app.registered_commands if one.callback.__name__ == verb)  # type: ignore[union-attr]
    found = []
    for name, hint in typing.get_type_hints(function, include_extras=True).items():
        if name != "return":
            base, info = typing.get_args(hint)[:2]
            kinds = {
                base,
                *typing.get_args(base),
                *(kind for part in typing.get_args(base) for kind in typing.get_args(part)),
            }
            option = None
            if isinstance(info, OptionInfo):
                long = [word for word in info.param_decls or () if word.startswith("--")]
                option = long[-1] if long else f"--{name.replace('_', '-')}"
            found.append(
                Parameter(
                    name,
                    option,
                    is_number=bool(kinds & {int, float}),
                    is_flag=bool in kinds,
                    is_file=Path in kinds or name in NAMES_OR_FILES,
                    takes=2 if "tuple[" in str(base) else 1,
                )
            )
    return found


def words(verb: str, hostile: Parameter, value: str) -> list[str]:
    options, arguments = [], []
    for one in parameters(verb):
        given = value if one.name == hostile.name else VERBS[verb].get(one.name)
        if given is not None and one.option is None:
            arguments.append(given)
        elif given is not None:
            options += [str(one.option), *[given] * one.takes]
    return [verb, *options, "--", *arguments]


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """A hang ends the test: the alarm's exception is no ``Exception`` that something could catch and go on from."""

    class Hang(BaseException): ...

    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; names of text are what they are, so that nothing of a former run answers to them."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("edgerecon.deploy.fpga.build._against_cpp", lambda folder: None)  # compiles for 20 s each time
    monkeypatch.setattr(logging, "raiseExceptions", False)  # pytest closes the streams of loggers between tests
    return tmp_path


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["edgerecon", *arguments])
    with within(HANG_S), pytest.raises(SystemExit) as left:
        cli.main()
        raise SystemExit(0)
    return int(left.value.code or 0)


def test_every_verb_is_tried() -> None:
    assert {one.callback.__name__ for one in cli.app.registered_commands if one.callback} == {*VERBS, *NOT_TRIED}


def cases() -> Iterator[Any]:
    for verb in VERBS:
        for one in parameters(verb):
            if not one.is_flag and (verb, one.name) != ("simulate", "out"):
                yield pytest.param(verb, one, id=f"{verb}-{one.name}")


@pytest.mark.parametrize(("verb", "hostile"), cases())
def test_a_hostile_argument_is_one_line(
    verb: str, hostile: Parameter, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    written = hostile.name in ("out", "work", "run_dir", "trace", "pictures", "arrays", "json")
    read = [str(path) for path in files(place / "in")] if hostile.is_file and not written else []
    for value in NUMBERS if hostile.is_number else (*TEXTS, *read):
        status = run(words(verb, hostile, value), monkeypatch)
        said = capfd.readouterr()
        assert status in (0, 1, 2), f"{value[:60]!r}: {said.err}"
        assert "Traceback" not in said.err, f"{value[:60]!r}: {said.err}"
        assert not OF_PYTHON.search(said.err), f"{value[:60]!r}: {said.err}"
        assert said.err or status != 2, f"{value[:60]!r} is refused without a word"
        assert "\x1b[2J" not in said.err + said.out, "a name must not drive the terminal"
        if status == 1:
            assert said.err.splitlines()[-1].startswith("edgerecon: "), f"{value[:60]!r}: {said.err}"
    assert os.getcwd() == str(place / "work")
