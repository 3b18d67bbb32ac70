"""A growth curve as a small static SVG: both axes logarithmic, so that cost in proportion to size is a straight line up at 45°.

No script, no font of its own, and colours for light and dark pages.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from msgspec import Struct

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 70, 130, 40, 44
COLOURS = ("a", "b", "c")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#3b4252}.t{font-weight:600;font-size:14px}.g{stroke:#d0d5dd;stroke-width:1}"
    ".p{stroke:#98a2b3;stroke-dasharray:4 4;fill:none}.l{fill:none;stroke-width:2.5}"
    ".a{stroke:#1d5fd0;fill:#1d5fd0}.b{stroke:#b4530a;fill:#b4530a}.c{stroke:#0b7a53;fill:#0b7a53}text.a,text.b,text.c{stroke:none}"
    "@media(prefers-color-scheme:dark){text{fill:#d5dae3}.g{stroke:#3a4150}.p{stroke:#7b8496}"
    ".a{stroke:#7fb0ff;fill:#7fb0ff}.b{stroke:#f5a35c;fill:#f5a35c}.c{stroke:#5fd3a4;fill:#5fd3a4}}.l{fill:none!important}"
)
Point = tuple[float, float]


class Chart(Struct, frozen=True):
    """Curves over size; `name` is the file's. `unit` is of what grows upward."""

    name: str
    title: str
    unit: str
    series: Mapping[str, Sequence[Point]]

    def svg(self) -> str:
        """The picture."""
        return "\n".join(_lines(self)) + "\n"


class _Scale(Struct, frozen=True):
    low: int
    high: int
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value lies on this axis."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def decades(self) -> list[float]:
        return [10.0**n for n in range(self.low, self.high + 1)]


def _scale(values: Sequence[float], start: float, end: float) -> _Scale:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return _Scale(low, max(high, low + 1), start, end)


def _lines(chart: Chart) -> Iterator[str]:
    points = [point for curve in chart.series.values() for point in curve]
    x = _scale([p[0] for p in points], LEFT, WIDTH - RIGHT)
    y = _scale([p[1] for p in points], HEIGHT - BOTTOM, TOP)
    title = escape(chart.title)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
    yield f'<style>{STYLE}</style><text class="t" x="{LEFT}" y="20">{title}</text>'
    yield f'<text x="{LEFT}" y="{HEIGHT - 6}">dashed: in proportion to size</text>'
    yield from _axes(x, y, chart.unit)
    yield _in_proportion(x, y, next(iter(chart.series.values())))
    ends = _apart([y.at(curve[-1][1]) for curve in chart.series.values()])
    for colour, end, (name, curve) in zip(COLOURS, ends, chart.series.items(), strict=False):
        yield from _curve(x, y, colour, end, name, curve)
    yield "</svg>"


def _axes(x: _Scale, y: _Scale, unit: str) -> Iterator[str]:
    for value in x.decades:
        yield f'<path class="g" d="M{x.at(value)} {TOP}V{HEIGHT - BOTTOM}"/>'
        yield f'<text x="{x.at(value)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:,.0f}</text>'
    for value in y.decades:
        yield f'<path class="g" d="M{LEFT} {y.at(value)}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 8}" y="{y.at(value) + 4}" text-anchor="end">{value:,g} {escape(unit)}</text>'


def _in_proportion(x: _Scale, y: _Scale, curve: Sequence[Point]) -> str:
    """The dashed line: ten times the size, ten times the cost, from the first point until it leaves the picture."""
    (size, cost), most = curve[0], y.decades[-1]
    factor = min(x.decades[-1] / size, most / cost)
    ends = f"M{x.at(size)} {y.at(cost)}L{x.at(size * factor)} {y.at(cost * factor)}"
    return f'<path class="p" d="{ends}"><title>in proportion to size</title></path>'


def _curve(x: _Scale, y: _Scale, colour: str, end: float, name: str, curve: Sequence[Point]) -> Iterator[str]:
    path = "L".join(f"{x.at(size)} {y.at(value)}" for size, value in curve)
    yield f'<path class="l {colour}" d="M{path}"/>'
    for size, value in curve:
        told = f"<title>{size:,.0f}: {value:,.3g}</title>"
        yield f'<circle class="{colour}" cx="{x.at(size)}" cy="{y.at(value)}" r="3.5">{told}</circle>'
    yield f'<text class="{colour}" x="{x.at(curve[-1][0]) + 8}" y="{end + 4}">{escape(name)}</text>'


def _apart(heights: Sequence[float]) -> list[float]:
    """Names beside the ends of curves, moved down where two would lie on each other."""
    placed = list(heights)
    for before, this in zip(*(sorted(range(len(placed)), key=placed.__getitem__)[n:] for n in (0, 1)), strict=False):
        placed[this] = max(placed[this], placed[before] + 15)
    return placed
