"""The numbers of a cleanup as a picture: a bar for each, where the leads that it counts stand among those that matched.

An SVG as the address of an image, which both of Prefect's UIs show in markdown; they strip an inline one. It
brings its own background, for pages that are dark or light. Pure.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple

from tasks.report.escaping import escape, for_xml

WIDTH, LABEL, NUMBER, ROW, MARGIN = 720, 250, 80, 26, 16  # pixels; LABEL and NUMBER are the outer columns
SHORTEST = 2  # pixels, of a bar that isn't empty
LONGEST_NAME = 34  # letters that fit into the column of labels
STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1f2328}
.page{fill:#fff;stroke:#d0d7de}.track{fill:#f0f2f5}
.matched{fill:#8c959f}.kept{fill:#2da44e}.planned{fill:#d4a72c}.waiting{fill:#eac54f}.deleted{fill:#cf222e}.left{fill:#8250df}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#161b22;stroke:#30363d}.track{fill:#21262d}
.matched{fill:#8b949e}.kept{fill:#3fb950}.planned{fill:#d29922}.waiting{fill:#e3b341}.deleted{fill:#f85149}.left{fill:#a371f7}}
""".replace("\n", "")


class Bar(NamedTuple):
    """Leads among those that matched: how many, and behind how many others they stand."""

    name: str
    kind: str
    """Its colour: the name of a class in `STYLE`."""
    start: int
    length: int


def in_words(bars: Sequence[Bar]) -> str:
    """The numbers, for those who don't see the picture."""
    return "; ".join(f"{each.name}: {each.length:,}" for each in bars)


def image(bars: Sequence[Bar]) -> str:
    """The picture of *bars* in markdown; empty if there is nothing to show."""
    if not any(each.length for each in bars):
        return ""
    return f"![{escape(in_words(bars))}](data:image/svg+xml;base64,{b64encode(svg(bars).encode()).decode()})"


def svg(bars: Sequence[Bar]) -> str:
    """The picture of *bars*. The longest fills its column."""
    height = ROW * len(bars) + 2 * MARGIN
    whole = max(each.start + each.length for each in bars)
    rows = "".join(_row(each, MARGIN + ROW * place, whole) for place, each in enumerate(bars))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img"><title>{for_xml(in_words(bars))}</title><style>{STYLE}</style>'
        f'<rect class="page" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>{rows}</svg>'
    )


def _row(bar: Bar, top: int, whole: int) -> str:
    room = WIDTH - LABEL - NUMBER
    x = LABEL + room * bar.start / whole
    width = max(room * bar.length / whole, SHORTEST if bar.length else 0)
    name = bar.name if len(bar.name) <= LONGEST_NAME else f"{bar.name[: LONGEST_NAME - 1]}…"
    middle = f'y="{top + ROW / 2}" dominant-baseline="central"'
    return (
        f'<text x="{MARGIN}" {middle}>{for_xml(name)}</text>'
        f'<rect class="track" x="{LABEL}" y="{top + 5}" width="{room}" height="{ROW - 10}" rx="2"/>'
        f'<rect class="{bar.kind}" x="{min(x, LABEL + room - width):.1f}" y="{top + 5}" width="{width:.1f}" '
        f'height="{ROW - 10}" rx="2"/>'
        f'<text x="{WIDTH - MARGIN}" {middle} text-anchor="end">{bar.length:,}</text>'
    )
