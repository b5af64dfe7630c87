"""What every system of the study works with: its size, its folder, cached data, trained networks, exported models."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import textwrap
import tokenize
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgerecon.core import __version__
from edgerecon.core.errors import EdgereconError
from edgerecon.deploy.export.network_file import save_network
from edgerecon.quality.datasets.heldout import write_heldout
from edgerecon.study.profile import Profile
from edgerecon.study.results import Result, TrainedModel
from edgerecon.study.training import Draw, Schedule, train_network
from edgerecon.study.turn_training import train_in_turns
from edgerecon.study.turns import Turns
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.train.steps import Step

Arrays = dict[str, NDArray[Any]]


class Context:
    """One system's view of the study.

    Args:
        folder: of this system; checkpoints, data and models lie in it. result: what ``train`` and ``ship`` add to.
        recordings: folder of real recordings to evaluate on, in tables of their own; never trained on.
        on_progress: called with (what, done, total). turns: of a long study: what time each network may take.
    """

    def __init__(
        self,
        profile: Profile,
        folder: Path,
        result: Result,
        recordings: Path | None = None,
        on_progress: Callable[[str, int, int], None] | None = None,
        turns: Turns | None = None,
    ) -> None:
        self.profile, self.folder, self.result, self.recordings = profile, folder, result, recordings
        self.progress = on_progress or (lambda what, done, total: None)
        self.turns = turns

    def seed(self, name: str) -> int:
        """Fixed by the name, so that adding a method changes no other."""
        return zlib.crc32(f"{self.result.name}/{name}".encode())

    def rng(self, name: str) -> np.random.Generator:
        """A generator of random numbers with the seed of the name."""
        return np.random.default_rng(self.seed(name))

    def data(self, name: str, inputs: Mapping[str, Any], make: Callable[[], Arrays]) -> Arrays:
        """Arrays that are made once and kept as NAME.npz. inputs: whatever decides them, ready for JSON.

        Raises:
            EdgereconError: the folder cannot be written.
        """
        path = self.folder / f"{name}.npz"
        key = _key(self.profile.name, inputs, make)
        if (kept := _read(path, key)) is not None:
            return kept
        made = make()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.partial")
            with partial.open("wb") as file:
                np.savez(file, **made, _key=np.array(key))  # type: ignore[arg-type]
            partial.replace(path)
        except OSError as error:
            raise EdgereconError(f"cannot write {path}: {error.strerror or error}") from None
        return made

    def train(
        self,
        name: str,
        step: Callable[[], Step],
        draw: Draw,
        schedule: Schedule,
        facts: Mapping[str, Any] | None = None,
        check: Draw | None = None,
    ) -> Any:
        """Train a network, or take over its checkpoint.

        Args:
            step: makes the network and how it learns; called with torch's seed set. schedule: of the quick profile; a
                long study takes its rate and goes on from there, see ``train_in_turns``.
            check: a batch of scenes that ``draw`` never gives, by which a long study judges; default: ``draw``.
            facts: what else decides the outcome (data, widths), ready for JSON.

        Returns:
            The network, on the CPU, in eval mode, its weights frozen. Its curve is added to the result.

        Raises:
            EdgereconError: see ``train_network``.
        """
        torch.manual_seed(self.seed(name))
        made = step()
        key = _key(self.profile.name, {"steps": schedule.steps, "rate": schedule.rate, **(facts or {})}, step, draw)
        key += _learns(made)
        path, seed = self.folder / f"{name}.pt", self.seed(name)

        def shown(done: int, total: int) -> None:
            self.progress(f"{self.result.name}: training {name}", done, total)

        if self.turns is None:
            curve = train_network(made, draw, schedule, path, key=key, seed=seed, on_step=shown)
        else:
            curve = train_in_turns(self.turns, made, draw, check or draw, schedule, path, key=key, seed=seed)
        self.result.curves[name] = curve
        return made.network

    def has_time(self, name: str) -> bool:
        """Whether a network is trained at all: not so where a long study's budget ended before its first turn."""
        return self.turns is None or self.turns.reaches(f"{self.result.name}/{name}")

    def ship(self, network: Network, name: str, task: str, shape: tuple[int, int]) -> Path:
        """Export a trained network as models/NAME.onnx behind the parity gate, and note it for the latency table.

        Args:
            name: of the model, e.g. "study-srcnn-x2". shape: (height, width) of the frames it is timed on.

        Raises:
            GateError: the file does not do what the network does.
        """
        path = self.folder / "models" / f"{name}.onnx"
        error = save_network(network, path, name=name, task=task)
        self.result.models.append(
            TrainedModel(
                name,
                str(path),
                network.count_parameters(),
                network.macs_per_pixel(),
                network.receptive_field,
                error,
                shape,
            )
        )
        return path

    def hold_out(self, name: str, given: NDArray[Any], wanted: NDArray[Any]) -> None:
        """Keep a few test scenes beside the shipped model NAME: ``edgerecon bench`` judges every engine on them.

        Args:
            given, wanted: (n, H, W), or sequences (n, T, H, W), [0, 1].

        Raises:
            EdgereconError: the folder cannot be written.
        """
        path = self.folder / "models" / f"{name}.onnx"
        if not path.is_file():
            return  # not every profile exports every network
        try:
            write_heldout(path, given, wanted)
        except OSError as error:
            raise EdgereconError(f"cannot write beside {path}: {error.strerror or error}") from None


def _key(profile: str, inputs: Mapping[str, Any], *code: Callable[..., Any]) -> str:
    """Of everything that decides an outcome, the code of the functions that make it included."""
    sources = [code_of(function) for function in code if inspect.isfunction(function)]
    content = json.dumps([__version__, profile, dict(inputs), sources], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _learns(step: Step) -> str:
    """Of the weights' shapes, and of the code of the networks and losses: a loss that changed trains anew."""
    held = vars(step).values()
    layers = {type(layer) for part in held if isinstance(part, nn.Module) for layer in part.modules()}
    parts = [type(step), *sorted(layers, key=lambda kind: kind.__qualname__), *held]
    sources = [code_of(part) for part in parts if _is_ours(part)]
    shapes = [tuple(weight.shape) for weight in step.network.parameters()]
    return hashlib.sha256(json.dumps([sources, shapes]).encode()).hexdigest()


_NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER)


def code_of(part: Callable[..., Any]) -> str:
    """The source of a class or function without docstrings, comments and line breaks, which decide no outcome."""
    source = textwrap.dedent(inspect.getsource(part))
    kept, begins = list[str](), True
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in (tokenize.INDENT, tokenize.DEDENT):
                kept.append("{" if token.type == tokenize.INDENT else "}")
            elif token.type not in _NO_CODE and not (begins and token.type == tokenize.STRING):
                kept.append(token.string)
            if token.type not in (tokenize.COMMENT, tokenize.NL):
                begins = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    except (tokenize.TokenError, IndentationError):
        return source  # a lambda amid a statement
    return " ".join(kept)


def _is_ours(part: Any) -> bool:
    """Whether it is a class or function whose text can be read and is edgerecon's."""
    readable = inspect.isclass(part) or inspect.isfunction(part)
    return readable and part.__module__.partition(".")[0] == __name__.partition(".")[0]


def _read(path: Path, key: str) -> Arrays | None:
    """None when it is absent, damaged or of other inputs: it is made anew."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["_key"]) != key:
                return None
            return {name: file[name] for name in file.files if name != "_key"}
    except (OSError, ValueError, KeyError, EOFError):
        return None
