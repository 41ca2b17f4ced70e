"""Bars as SVG, to be read on a light and on a dark page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

_WIDTH = 760
_LABELS = 120  # where bars begin
_VALUES = 110  # room behind the longest bar
_ROW = 22
_BAR = 15
_TITLE = 30
_GROUP = 24
_MARGIN = 10

# Of middle lightness: contrast of 3.7 or more to GitHub's white and to its black.
_TEXT = "#768390"
_FILLS = {"ours": "#2f81f7", "theirs": "#8b949e", "ceiling": "none"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        label: Who.
        value: How long; None for no bar, only the text.
        text: What is written behind it.
        kind: How it looks.
    """

    label: str
    value: float | None
    text: str
    kind: Literal["ours", "theirs", "ceiling"]


@dataclass(frozen=True, slots=True)
class Group:
    """Bars of one scale, under a title."""

    title: str
    bars: Sequence[Bar]


def picture(title: str, groups: Sequence[Group]) -> str:
    """The text of an SVG file.

    The ceiling may run out of the picture: brokers are what is compared.
    """
    top = _TITLE
    parts = [_text(_MARGIN, 19, title, "font-weight='600'")]
    for group in groups:
        parts.append(_text(_MARGIN, top + 14, group.title, "font-size='12'"))
        top += _GROUP
        values = [bar.value for bar in group.bars if bar.kind != "ceiling"]
        longest = max((value for value in values if value is not None), default=0.0)
        for bar in group.bars:
            parts += _row(bar, top, longest)
            top += _ROW
        top += _MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}"'
        f' viewBox="0 0 {_WIDTH} {top}" font-size="13" fill="{_TEXT}"'
        ' font-family="system-ui, -apple-system, Segoe UI, sans-serif" role="img">'
    )
    return "\n".join((head, f"<title>{escape(title)}</title>", *parts, "</svg>\n"))


def _row(bar: Bar, top: int, longest: float) -> list[str]:
    room = _WIDTH - _LABELS - _VALUES
    width = 0.0
    if bar.value is not None:
        width = room * min(1.0, bar.value / longest) if longest else float(room)
    beyond = bar.value is not None and bar.value > longest
    style = f"fill='{_FILLS[bar.kind]}'"
    if bar.kind == "ceiling":
        style += f" stroke='{_TEXT}' stroke-dasharray='4 3'"
    rectangle = (
        f"<rect x='{_LABELS}' y='{top}' width='{max(width, 1):.1f}' height='{_BAR}'"
        f" rx='2' {style}/>"
    )
    text = f"{bar.text} →" if beyond else bar.text
    weight = "font-weight='600'" if bar.kind == "ours" else ""
    return [
        _text(_LABELS - 8, top + 12, bar.label, f"text-anchor='end' {weight}"),
        *([rectangle] if bar.value is not None else []),
        _text(_LABELS + width + 8, top + 12, text, weight),
    ]


def _text(left: float, base: float, text: str, style: str = "") -> str:
    return f"<text x='{left:.0f}' y='{base:.0f}' {style}>{escape(text)}</text>"
