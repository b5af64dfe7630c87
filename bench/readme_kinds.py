"""Lists of docs/ that are made from the records: sources and sinks of a stream, keys of ``serve``, measures."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from inspect import getdoc, getmodule
from pathlib import Path

from edgerecon.quality.measures.measure import measures
from edgerecon.stream.serve.config import StreamTable
from edgerecon.stream.sinks.kind import SinkKind, sink_kinds
from edgerecon.stream.sources.kind import SourceKind, source_kinds


def sources(results: Path) -> str:
    """Recordings by name, then live sources. results: of no use here."""
    kinds = sorted(source_kinds().values(), key=lambda kind: (bool(kind.schemes), kind.name.lower()))
    return _table("source", kinds)


def sinks(results: Path) -> str:
    """Recordings by name, then what is reached by an address. results: of no use here."""
    kinds = sorted(sink_kinds().values(), key=lambda kind: (not kind.endings, kind.name.lower()))
    return _table("sink", kinds)


def serve_keys(results: Path) -> str:
    """Keys of a ``[[stream]]`` of ``edgerecon serve``, with their defaults. results: of no use here."""
    fields = StreamTable.model_fields.items()
    needed = _spelt(name for name, field in fields if field.is_required())
    others = _spelt(name for name, field in fields if not field.is_required())
    return f"Needed: {needed}.\nMay be left out: {others}."


def measure_list(results: Path) -> str:
    """One row a file of measures: their names, and what the file says that they are. results: of no use here."""
    told: dict[str, list[str]] = {}
    for one in measures().values():
        module = getmodule(one.fn.func if isinstance(one.fn, partial) else one.fn)
        says = (getdoc(module) or "").partition("\n\n")[0].replace("\n", " ").partition(": ")[2].rstrip(".")
        told.setdefault(says, []).append(one.label.partition(",")[0])
    rows = [f"| {', '.join(dict.fromkeys(labels))} | {says} |" for says, labels in told.items()]
    return "\n".join(["| measure | what it is |", "|---|---|", *rows])


def _table(head: str, kinds: Iterable[SourceKind] | Iterable[SinkKind]) -> str:
    lines = [f"| {head} | as | options behind `?` |", "|---|---|---|"]
    lines += [f"| {kind.name} | {_given_as(kind)} | {_spelt(kind.options or ())} |" for kind in kinds]
    return "\n".join(lines)


def _given_as(kind: SourceKind | SinkKind) -> str:
    names = [*kind.addresses, *kind.endings, *(word for word in kind.words if not kind.addresses)]
    told = _spelt(name.replace("|", "\\|") for name in names)
    by_content = isinstance(kind, SourceKind) and not kind.schemes and (kind.magic or kind.holds or kind.fallback)
    return ", ".join(filter(None, (told, "by its content" if by_content else "")))


def _spelt(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
