"""Charts as SVG: drawn by matplotlib with plain colours, and made part of the page in the page's own colours."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

# The colours of the style sheet (light); inside the page they follow it, dark mode included.
COLOURS = {
    "ink": "#1c2430",
    "muted": "#647084",
    "line": "#dfe4ea",
    "accent": "#c2491d",
    "calm": "#a9b4c2",
}
INCH = 72.0  # points
ROW_HEIGHT = 0.30  # inches
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


def bar_chart(bars: Sequence[Bar], axis: str) -> str:
    """SVG of horizontal bars from 0 to 100 %, the first on top, each with its interval and its number."""
    import matplotlib
    from matplotlib.figure import Figure

    places = range(len(bars))
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(4.6, ROW_HEIGHT * len(bars) + 0.62))
        axes = figure.add_axes((0.24, 0.5 / figure.get_figheight(), 0.72, 1 - 0.55 / figure.get_figheight()))
        colours = [COLOURS["accent" if bar.stands_out else "calm"] for bar in bars]
        axes.barh(places, [100 * bar.value for bar in bars], height=0.62, color=colours, zorder=2)
        for place, bar in zip(places, bars, strict=True):
            low, high = (bar.value if end is None else end for end in (bar.low, bar.high))
            axes.plot([100 * low, 100 * high], [place, place], color=COLOURS["ink"], linewidth=1.3, zorder=3)
            axes.text(100 * max(high, bar.value) + 2, place, label(bar), va="center", color=COLOURS["ink"], zorder=3)
        axes.set_yticks(places, [bar.label for bar in bars], color=COLOURS["ink"])
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


def label(bar: Bar) -> str:
    """The number at the end of a bar."""
    from pipeline.report.numbers import hundredths

    return hundredths(bar.value)


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
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    body = re.sub(r'\bid="', f'id="{prefix}', body)
    body = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}", body)
    for name, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{name})")
    width = float(view.split()[2]) / INCH * 96
    opening = f'<svg class="chart" viewBox="{view}" role="img" aria-label="{escape(description)}" width="{width:.0f}">'
    return Markup(f"{opening}{body}")
