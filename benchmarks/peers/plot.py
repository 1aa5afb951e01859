"""Draw what a million records cost each peer, as bars in an SVG.

Takes: figures by peer
Out:   the text of a picture; the same figures give the same bytes
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

_WIDTH, _ROW, _NAMES, _FIGURES = 760, 26, 210, 60
_SVG = "http://www.w3.org/2000/svg"
_OURS, _THEIRS = "#2f6f4f", "#8a94a6"


def bars(told: Iterable[dict[str, Any]]) -> str:
    """One bar for each, the cheapest first."""
    ranked = sorted(told, key=lambda each: each["cpu_seconds_per_million"])
    longest = max(each["cpu_seconds_per_million"] for each in ranked)
    height = _ROW * (len(ranked) + 1) + 8
    lines = [
        f'<svg xmlns="{_SVG}" width="{_WIDTH}" height="{height}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        '<text x="8" y="18">CPU seconds for a million records, the broker apart</text>',
    ]
    for row, each in enumerate(ranked, 1):
        seconds = each["cpu_seconds_per_million"]
        width = (_WIDTH - _NAMES - _FIGURES) * seconds / longest
        top = row * _ROW + 6
        fill = _OURS if each["name"] == "flowsell" else _THEIRS
        lines += [
            f'<text x="8" y="{top + 14}">{escape(each["title"])}</text>',
            f'<rect x="{_NAMES}" y="{top}" width="{width:.1f}" height="{_ROW - 8}" fill="{fill}"/>',
            f'<text x="{_NAMES + width + 6:.1f}" y="{top + 14}">{seconds:,.1f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
