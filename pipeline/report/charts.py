"""Charts as SVG: drawn by matplotlib with plain colours, and made part of the page in the page's own colours."""

import io
import re
from dataclasses import dataclass
from functools import lru_cache

from markupsafe import Markup, escape

from pipeline.report.numbers import hundredths

# The colours of the style sheet (light); inside the page they follow it, dark mode included.
COLOURS = {
    "ink": "#1c2430",
    "muted": "#647084",
    "line": "#dfe4ea",
    "accent": "#c2491d",
    "calm": "#a9b4c2",
}
HEIGHT = 2.8  # inches, of curves
DASHES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))
APART = 9.0  # percent between two labels
INCH = 72.0  # points
WIDTH, ROW_HEIGHT, AXIS_HEIGHT = 4.6, 0.30, 0.62  # inches
LETTER, GAP = 0.077, 0.16  # inches: a wide letter of a label, and what is left free beside labels
SETTINGS = {
    "svg.fonttype": "none",  # letters stay text: small, searchable, in the reader's own font
    "svg.hashsalt": "counterfactory",
    "text.parse_math": False,  # a name with a dollar sign is a name
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
}


@dataclass(frozen=True)
class Bar:
    """One bar: a share in [0, 1] with its interval, if there is one, and whether it stands out."""

    label: str
    value: float
    low: float | None
    high: float | None
    stands_out: bool


@lru_cache(maxsize=64)  # a chart is a part of the page, and a file of its own
def bar_chart(bars: tuple[Bar, ...], axis: str) -> str:
    """SVG of horizontal bars from 0 to 100 %, the first on top, each with its interval and its number."""
    import matplotlib
    from matplotlib.figure import Figure

    places = range(len(bars))
    left = min(max([len(bar.label) for bar in bars] + [8]) * LETTER + GAP, WIDTH / 2)
    height = ROW_HEIGHT * len(bars) + AXIS_HEIGHT
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, height))
        area = (left / WIDTH, 0.5 / height, 1 - (left + GAP) / WIDTH, 1 - 0.55 / height)
        axes = figure.add_axes(area)
        colours = [COLOURS["accent" if bar.stands_out else "calm"] for bar in bars]
        axes.barh(places, [100 * bar.value for bar in bars], height=0.62, color=colours, zorder=2)
        for place, bar in zip(places, bars, strict=True):
            low, high = (bar.value if end is None else end for end in (bar.low, bar.high))
            line = COLOURS["ink" if bar.stands_out else "muted"]
            axes.plot([100 * low, 100 * high], [place, place], color=line, linewidth=1.3, zorder=3)
            end = 100 * max(high, bar.value) + 2
            axes.text(end, place, hundredths(bar.value), va="center", color=COLOURS["ink"], zorder=3)
        axes.set_yticks(places, [shortened(bar.label, int((left - GAP) / LETTER)) for bar in bars])
        axes.set_xticks(range(0, 101, 25))
        axes.set_xlim(0, 112)
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.set_xlabel(axis, color=COLOURS["muted"])
        axes.tick_params(length=0, labelcolor=COLOURS["muted"])
        axes.tick_params(axis="y", labelcolor=COLOURS["ink"], pad=6)
        axes.grid(axis="x", color=COLOURS["line"], linewidth=0.8, zorder=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return svg_text(figure)


@dataclass(frozen=True)
class Curve:
    """The places, in increasing order, at which each of some images is reached; count: of all images."""

    label: str
    places: tuple[float, ...]
    count: int


@lru_cache(maxsize=64)
def curve_chart(curves: tuple[Curve, ...], axis: str) -> str:
    """SVG of the share of images reached by each place, a line of steps for each curve, named where it ends."""
    import matplotlib
    from matplotlib.figure import Figure

    right = max(max([len(curve.label) for curve in curves]) * LETTER + GAP, 0.5)
    furthest = max([place for curve in curves for place in curve.places] or [1.0])
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        axes = figure.add_axes((0.5 / WIDTH, 0.5 / HEIGHT, 1 - (0.5 + right) / WIDTH, 1 - 0.65 / HEIGHT))
        ends: list[float] = []
        for index, curve in enumerate(curves):
            shares = [100 * number / max(1, curve.count) for number in range(len(curve.places) + 1)]
            style = {"color": COLOURS["accent" if index == 0 else "ink"], "linestyle": DASHES[index % len(DASHES)]}
            places = (0.0, *curve.places, furthest)
            axes.step(places, [*shares, shares[-1]], where="post", linewidth=1.4, zorder=3, **style)
            end = shares[-1]
            while any(abs(end - other) < APART for other in ends):
                end -= APART / 4
            ends.append(end)
            axes.text(furthest * 1.02, end, curve.label, va="center", color=style["color"], clip_on=False)
        axes.set_ylim(-2, 104)
        axes.set_xlim(0, furthest)
        axes.set_yticks(range(0, 101, 25), [f"{share} %" for share in range(0, 101, 25)])
        axes.set_xlabel(axis, color=COLOURS["muted"])
        axes.tick_params(length=0, labelcolor=COLOURS["muted"])
        axes.grid(color=COLOURS["line"], linewidth=0.8, zorder=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return svg_text(figure)


def shortened(label: str, letters: int) -> str:
    """A label that has at most so many letters."""
    return label if len(label) <= letters else f"{label[: letters - 1]}\N{HORIZONTAL ELLIPSIS}"


def svg_text(figure) -> str:
    """SVG without date, version and metadata, so that equal charts are equal texts."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return buffer.getvalue()


def inlined(svg: str, description: str, prefix: str) -> Markup:
    """An SVG from `svg_text` as an element of the page: in its colours and font, with ids that start with `prefix`."""
    view = re.search(r'viewBox="([^"]*)"', svg).group(1)
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub(r'\bid="', f'id="{prefix}', body)
    body = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}", body)
    for name, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{name})")
    width = float(view.split()[2]) / INCH * 96
    opening = f'<svg class="chart" viewBox="{view}" role="img" aria-label="{escape(description)}" width="{width:.0f}">'
    return Markup(f"{opening}{body}")
