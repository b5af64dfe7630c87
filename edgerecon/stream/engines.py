"""The engines of one stream: the model's own, those of its ladder, and others like them when one is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import Any

from edgerecon.core.errors import UsageError
from edgerecon.core.frame import Image
from edgerecon.engines import open_engine
from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.modelfile.catalogue import model_path, shipped_models
from edgerecon.modelfile.variants import family
from edgerecon.stream.chained import ChainedEngine
from edgerecon.stream.filters.chain import FilterSettings
from edgerecon.stream.filters.engine import FilteredEngine
from edgerecon.stream.loop.ladder import PASSTHROUGH
from edgerecon.stream.picture.box import refuse_outside
from edgerecon.stream.picture.overlay import AnnotatingEngine
from edgerecon.stream.picture.protect import NONE, ProtectedEngine, first_frames, parse_protect
from edgerecon.stream.picture.strength import BlendedEngine, check_strength
from edgerecon.stream.sinks.base import Slider
from edgerecon.stream.sources.base import Source

AUTO = "auto"
EDGE = 4
"""Pixels by which a frame is continued beyond its border for the model (docs/stream/model.md has what it is worth)."""


class Engines:
    """Opens engines by name, remembers how, and closes what it opened when its context ends.

    Args:
        backend, precision, threads, device, tile: see ``open_engine``; the same for all.
        opener: stands for ``open_engine`` but where an engine is opened again.
        strength: of every engine, see ``edgerecon.stream.picture.strength``.
        filters: settings of the filters of every engine's pictures, see ``edgerecon.stream.filters``.
        filters_before: those of the source, so that a viewer may set them.
        protect: "auto", "none" or the tissue's "x,y,w,h", see ``edgerecon.stream.picture.protect``.

    Raises:
        UsageError: a strength or a region that makes no sense.
    """

    def __init__(
        self,
        backend: str = "auto",
        precision: str | None = None,
        threads: int | None = None,
        opener: Callable[..., Engine] = open_engine,
        *,
        device: str | None = None,
        tile: tuple[int, int] | None = None,
        strength: float = 1.0,
        protect: str = NONE,
        filters: FilterSettings | None = None,
        filters_before: FilterSettings | None = None,
    ) -> None:
        self._strength, self._protect = check_strength(strength), parse_protect(protect)
        self._how = (backend, precision, threads)
        # Only what was asked for, so that an opener need know no more than that.
        self._where: dict[str, Any] = {
            name: value for name, value in (("device", device), ("tile", tile)) if value is not None
        }
        self._opener, self._filters = opener, filters or FilterSettings([])
        self._places = {"before": filters_before or FilterSettings([]), "after": self._filters}
        self._opened: list[tuple[EngineSpec, tuple[str, ...]]] = []
        self._first: Sequence[Image] = ()
        self._protected: list[ProtectedEngine] = []
        self._steered: list[BlendedEngine | AnnotatingEngine] = []
        self._stack = ExitStack()

    def __enter__(self) -> Engines:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def open(self, model: str, *then: str) -> Engine:
        """The engine of a model; with further ones, an engine that runs them one after the other."""
        models = (model, *then)
        opened = [self._for_pictures(one) for one in models]
        engine = self._stack.enter_context(closing(self._acting(opened)))
        self._opened.append((engine.spec, models))
        return engine

    def _for_pictures(self, model: str) -> Engine:
        """Raises UsageError for a model that takes channel data, not frames."""
        backend, precision, threads = self._how
        engine = self._opener(model, backend, precision, threads=threads, **self._where)
        if engine.spec.model.channels > 1:
            engine.close()
            raise UsageError(f"{model} makes pictures of channel data: give it as  --beamform {model}")
        return engine

    def find_tissue(self, source: Source) -> None:
        """Find the tissue of a recording before it is played, for every engine; a live source is not asked.

        Raises:
            UsageError: the tissue's box is not within its frames.
        """
        if self._protect == NONE:
            return
        self._first = first_frames(source)
        if self._first and not isinstance(self._protect, str):
            refuse_outside(self._protect, self._first[0].shape, "--protect")
        for engine in self._protected:
            engine.learn(self._first)

    @property
    def controls(self) -> Engines | None:
        """What a viewer may change while these engines run; None where there is nothing."""
        return self if self._steered or self.sliders() else None

    def sliders(self) -> list[Slider]:
        """The numbers of the filters before and after the model."""
        return [slider for place, settings in self._places.items() for slider in settings.sliders(place)]

    def slide(self, key: str, value: float) -> None:
        """Set one of them.

        Raises:
            UsageError: there is none of that key, or the value is beyond its limits.
        """
        if all(key != slider.key for slider in self.sliders()):
            raise UsageError(f"no filter of this stream has '{key}'")
        self._places[key.split(" ")[0]].slide(key, value)

    @property
    def strength(self) -> float | None:
        """Of every engine, in [0, 1]; may be set at any time, and holds from the next frame on. None: nothing has one.

        Raises:
            UsageError, when it is set: a strength beyond [0, 1].
        """
        return self._strength if self._steered else None

    @strength.setter
    def strength(self, strength: float | None) -> None:
        if strength is None:
            raise UsageError("a strength is from 0 to 1")
        self._strength = check_strength(strength)
        for engine in self._steered:
            engine.strength = strength

    def open_ladder(self, model: str | None, names: Sequence[str]) -> list[Engine] | None:
        """The engines below the model's own.

        Args:
            names: models from the best to the quickest; "auto" for the smaller one that ships with this model, if one
                does; "passthrough" for none. Empty: no ladder.

        Returns:
            None without a ladder; else the engines, to which ``stream`` adds the passthrough.

        Raises:
            UsageError: there is no model to step down from, or see ``open_engine``.
        """
        if not names:
            return None
        if model is None:
            raise UsageError("a ladder steps down from a model: name one after the source")
        wanted = [name for given in names for name in (smaller(model) if given == AUTO else [given])]
        return [self.open(name) for name in wanted if name != PASSTHROUGH]

    def reopen(self, spec: EngineSpec) -> Engine:
        """Another engine like one that was opened here; whoever asks for it closes it."""
        models = next(models for opened, models in self._opened if opened == spec)
        return self._acting(
            [
                open_engine(model, one.backend, one.precision, threads=one.threads, **self._where)
                for model, one in zip(models, spec.parts or (spec,), strict=True)
            ]
        )

    def _acting(self, engines: Sequence[Engine]) -> Engine:
        """The engines as one, each as strongly and where it was asked for, and filtered."""
        placed = [self._placed(engine) for engine in engines]
        engine = placed[0] if len(placed) == 1 else ChainedEngine(placed)
        return FilteredEngine(engine, self._filters) if self._filters.chosen else engine

    def _placed(self, engine: Engine) -> Engine:
        """The engine, as strongly and where it was asked for. One that changes a frame's size acts on all of it."""
        model = engine.spec.model
        if not model.makes_images:
            engine = AnnotatingEngine(engine, self._strength)
            self._steered.append(engine)
            return engine
        if model.scale != 1:
            return BlendedEngine(engine, self._strength) if self._strength != 1 else engine
        if hasattr(engine, "margin") and not engine.spec.simulated:
            engine.margin = EDGE
        engine = BlendedEngine(engine, self._strength)
        self._steered.append(engine)
        if self._protect == NONE:
            return engine
        engine = ProtectedEngine(engine, self._protect)
        engine.learn(self._first)
        self._protected.append(engine)
        return engine


def smaller(model: str) -> list[str]:
    """Names of the pruned models that ship beside a shipped one, of the same precision where there is such a file."""
    path = model_path(model)
    whole = family(path.stem)
    ending = path.stem.removeprefix(whole)
    shipped = shipped_models()
    if whole.endswith("-small") or path.stem not in shipped:
        return []
    return [name for name in (f"{whole}-small{ending}",) if name in shipped]
