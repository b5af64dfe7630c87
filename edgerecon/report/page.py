"""What all HTML reports share: one page that needs nothing beside itself, tables, and how figures are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from edgerecon.core.files import write

DISCLAIMER = "For research and engineering. Not a medical device."
"""At the head of a page, where it is seen at once, and at its end."""


def page(title: str, body: str) -> str:
    """A whole page around a body of HTML; the title is plain text."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n<main>\n"
        f'<p class="disclaimer">{DISCLAIMER}</p>\n{body}<footer>Made by edgerecon. {DISCLAIMER}</footer>\n'
        "</main>\n</html>\n"
    )


def write_page(path: Path, content: str) -> None:
    """Whole or not at all. Raises EdgereconError."""
    write(path, content.encode())


def at_strength(strength: float | None) -> str:
    """What follows a model's name where it is blended with its input: " at 75 % strength"; nothing for 1 and None."""
    return "" if strength in (None, 1) else f" at {100 * strength:.0f} % strength"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kinds: str) -> str:
    """An HTML table of plain text; ``kinds`` holds "n" for each column of numbers."""
    marks = [' class="n"' if kind == "n" else "" for kind in kinds]
    top = "".join(f"<th{mark}>{escape(text)}</th>" for mark, text in zip(marks, head, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{mark}>{escape(text)}</td>' for mark, text in zip(marks, row, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def number(value: object, digits: int = 1) -> str:
    """Fixed digits; a dash for what was not measured."""
    return f"{value:.{digits}f}" if isinstance(value, (int, float)) and math.isfinite(value) else "–"


def percent(value: object) -> str:
    """A fraction as a percentage; a dash for what was not measured."""
    return f"{100 * value:.2f} %" if isinstance(value, (int, float)) and math.isfinite(value) else "–"
