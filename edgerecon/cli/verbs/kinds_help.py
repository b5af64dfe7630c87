"""Help of the verb ``stream``, whose lists of sources and sinks are made from their records when help is asked for."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class StreamCommand(TyperCommand):
    """Fills ``{sources}`` and ``{sinks}`` in. Looking the records up takes too long for every other call."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # typer brings a click of its own
        from edgerecon.stream.sinks.kind import known_sinks
        from edgerecon.stream.sources.kind import known_addresses, known_recordings

        found = {"sources": f"{known_recordings()}; or {known_addresses()}", "sinks": known_sinks()}
        for parameter in self.params:
            text = getattr(parameter, "help", None) or ""
            if "{" in text:
                parameter.help = text.format(**found)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)
