"""The file that says which streams run: one ``[[stream]]`` table each."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edgerecon.core.config import accepted_by, as_json, dotted, first_fault, read_toml
from edgerecon.core.errors import ConfigError, UsageError
from edgerecon.engines import check_backend
from edgerecon.modelfile.catalogue import model_path
from edgerecon.modelfile.variants import check_precision
from edgerecon.stream.filters.engine import refuse_resizing
from edgerecon.stream.filters.filter import open_filters
from edgerecon.stream.overwriting import refuse_overwriting
from edgerecon.stream.picture.box import Box
from edgerecon.stream.picture.crop import parse_crop
from edgerecon.stream.picture.protect import parse_protect
from edgerecon.stream.sinks import check_sink
from edgerecon.stream.sinks.kind import kind_of
from edgerecon.stream.sources import check_source

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Sink = Annotated[str, AfterValidator(accepted_by(check_sink))]
_Filters = Annotated[tuple[str, ...], AfterValidator(accepted_by(open_filters))]
_FiltersAfter = Annotated[_Filters, AfterValidator(accepted_by(lambda texts: refuse_resizing(open_filters(texts))))]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StreamTable(_Table):
    """[[stream]]: what ``edgerecon stream`` takes, under the same names, and a name of its own.

    Attributes:
        name: in the viewer, the metrics, the logs and the report.
        source, model, backend, precision, strength, protect, crop, late, ladder, loop, frames, seconds: see
            ``edgerecon stream --help``.
            Relative paths are relative to the working directory.
        filters, filters_after: as ``--filter`` and ``--filter-after``, in order.
        threads: of the engine; default: this machine's cores divided by the streams, at least 1.
        sinks: as ``--sink``; the viewer and the metrics of one port are shared.
        policy: default: every from a file into files, else latest.
        deadline_ms: from capture to presentation; default: the source's frame period.
        cpus, gpus: that its machine must have free, with ``--ray``; part of one may be asked for.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    source: Annotated[str, Field(min_length=1), AfterValidator(accepted_by(check_source))]
    model: Annotated[str, AfterValidator(accepted_by(model_path))] | None = None
    backend: Annotated[str, AfterValidator(accepted_by(check_backend))] = "auto"
    precision: Annotated[str, AfterValidator(accepted_by(check_precision))] | None = None
    threads: int | None = Field(default=None, ge=1, le=1024)
    strength: float = Field(default=1.0, ge=0, le=1, allow_inf_nan=False)
    protect: Annotated[str, AfterValidator(accepted_by(parse_protect))] = "auto"
    crop: Annotated[str, AfterValidator(accepted_by(parse_crop))] | None = None
    filters: _Filters = ()
    filters_after: _FiltersAfter = ()
    sinks: tuple[_Sink, ...] = ("null",)
    deadline_ms: _Positive | None = None
    policy: Literal["latest", "every"] | None = None
    late: Literal["present", "skip"] = "present"
    ladder: tuple[str, ...] = ()
    loop: bool = False
    frames: int | None = Field(default=None, ge=1)
    seconds: _Positive | None = None
    cpus: _Positive = 1.0
    gpus: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @property
    def crop_box(self) -> Box | None:
        """The crop in pixels."""
        return None if self.crop is None else parse_crop(self.crop)

    @field_validator("ladder")
    @classmethod
    def _from_a_model(cls, ladder: tuple[str, ...], info: object) -> tuple[str, ...]:
        if ladder and getattr(info, "data", {}).get("model", "") is None:
            raise ValueError("a ladder steps down from a model: give one")
        return ladder


class ServeConfig(_Table):
    """The whole file."""

    stream: tuple[StreamTable, ...] = ()

    @model_validator(mode="after")
    def _each_its_own(self) -> ServeConfig:
        if not self.stream:
            raise ValueError("there is no stream: write a [[stream]] table for each")
        own = [uri for table in self.stream for uri in table.sinks if not _is_shared(uri)]
        for what, values in (
            ("streams have the name", [table.name for table in self.stream]),
            ("streams write to", own),
        ):
            value, count = (Counter(values).most_common(1) or [("", 0)])[0]
            if count > 1:
                raise ValueError(f"{count} {what} '{value}': give each its own")
        try:
            refuse_overwriting([table.source for table in self.stream], own)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self


def load_config(path: str | Path) -> ServeConfig:
    """Read the file.

    Raises:
        ConfigError: missing file, broken TOML, or a key that is unknown, absent or out of range: named, with its line.
    """
    text, tables = read_toml(Path(path), ConfigError, str(path))
    try:
        return ServeConfig.model_validate_json(as_json(tables), strict=True)
    except ValidationError as error:
        where, reason = first_fault(error, ServeConfig)
        if where == ("stream",):
            reason = "write [[stream]] above each stream's keys"
        line = _line_of(text, where)
        place, keys = (
            f"{path}:{line}" if line else f"{path}",
            dotted(tuple(key for key in where if isinstance(key, str))),
        )
        raise ConfigError(": ".join(filter(None, (place, keys, reason)))) from None


def _line_of(text: str, where: tuple[int | str, ...]) -> int | None:
    """Line of a key in the n-th [[stream]], of that table's header where the key is absent, or None."""
    wanted = where[1] if len(where) > 1 and isinstance(where[1], int) else None
    key, table, found = str(where[2] if len(where) > 2 else where[0] if where else ""), -1, None
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*\[\[\s*stream\s*\]\]", line):
            table += 1
            found = number if table == wanted else found
        elif (wanted is None or table == wanted) and re.match(rf"\s*(\[+\s*)?{re.escape(key)}\s*[=\]]", line):
            return number
    return found


def _is_shared(uri: str) -> bool:
    """Whether several streams may name this sink alike; of all others, each stream wants its own."""
    kind = kind_of(uri)
    return kind is not None and kind.shared
