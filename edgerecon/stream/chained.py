"""Several models as one engine: each runs on what the one before it gave, all under the stream's one deadline."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from time import perf_counter_ns

from edgerecon.core.errors import EngineError, UsageError, first_line
from edgerecon.core.frame import Colour, Image
from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.stream.picture.overlay import AnnotatingEngine


class ChainedEngine:
    """Engines, one after the other.

    Args:
        engines: two or more; they are closed with this one.

    Attributes:
        spec: of all of them together; ``parts`` has each. stages_ms: what each took of the last frame, by its name.
        overlay: what the last of them draws over the frame, or None.

    Raises:
        UsageError: one that draws over the frame comes before another one.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        if early := next((one for one in engines[:-1] if isinstance(one, AnnotatingEngine)), None):
            raise UsageError(f"{early.spec.model.name} draws over the frame: put it last in the chain")
        self._engines = list(engines)
        self.spec = _joined([one.spec for one in engines])
        self._names = _distinct([one.spec.model.name for one in engines])
        self.stages_ms: dict[str, float] = {}

    @property
    def overlay(self) -> Colour | None:
        """Colour that the last model draws over the frame, or None."""
        return getattr(self._engines[-1], "overlay", None)

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``edgerecon.engines.base.Engine.run``; the error names the model that failed."""
        stages: dict[str, float] = {}
        for name, engine in zip(self._names, self._engines, strict=True):
            began = perf_counter_ns()
            try:
                frame = engine.run(frame, out if engine is self._engines[-1] else None)
            except Exception as error:
                raise EngineError(f"{name}: {first_line(error)}") from error
            stages[name] = (perf_counter_ns() - began) / 1e6
        self.stages_ms = stages
        return frame

    def reset(self) -> None:
        """See ``Engine.reset``."""
        for engine in self._engines:
            engine.reset()

    def close(self) -> None:
        """See ``Engine.close``."""
        for engine in self._engines:
            engine.close()


def _distinct(names: Sequence[str]) -> list[str]:
    """A model that comes again gets a number."""
    return [name if names.count(name) == 1 else f"{name} {at}" for at, name in enumerate(names, 1)]


def _joined(specs: Sequence[EngineSpec]) -> EngineSpec:
    models, scale, field, macs = [one.model for one in specs], 1, 1.0, 0.0
    for model in models:
        field += max(model.receptive_field - 1, 0) / scale
        macs += model.macs_per_pixel * scale**2
        scale *= model.scale
    model = ModelSpec(
        name=" + ".join(one.name for one in models),
        task=models[-1].task,
        scale=prod(one.scale for one in models),
        size_multiple=1,
        recipe_hash="",
        precision=_each([one.precision for one in models]),
        receptive_field=round(field),
        macs_per_pixel=macs,
    )
    return EngineSpec(
        model=model,
        backend=_each([one.backend for one in specs]),
        precision=_each([one.precision for one in specs]),
        threads=max(one.threads for one in specs),
        simulated=any(one.simulated for one in specs),
        parts=tuple(specs),
    )


def _each(words: Sequence[str]) -> str:
    """One word where all are the same."""
    return words[0] if len(set(words)) == 1 else " + ".join(words)
