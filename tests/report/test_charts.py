"""Charts as SVG."""

import re
from xml.etree import ElementTree

from pipeline.report.charts import COLOURS, Bar, bar_chart, inlined
from pipeline.report.page import asset

BARS = (Bar("glasses", 0.53, 0.45, 0.62, True), Bar("hat", 0.016, None, None, False), Bar("$x^2$ <b>", 0, 0, 0, False))
PATH = "{http://www.w3.org/2000/svg}path"


def test_bars_are_as_long_as_their_shares_and_intervals_reach_from_end_to_end():
    drawing = ElementTree.fromstring(bar_chart(BARS, "images flipped (%)"))
    paths = [element.get("d") for element in drawing.iter(PATH) if element.get("style", "").startswith("fill: #")]
    spans = [sorted(float(x) for x in re.findall(r"[ML] ([\d.]+)", path)) for path in paths]
    lengths = [span[-1] - span[0] for span in spans]
    assert len(lengths) == 3 and lengths[2] == 0
    assert abs(lengths[1] / lengths[0] - 0.016 / 0.53) < 1e-3
    lines = [element.get("d") for element in drawing.iter(PATH) if "stroke-width: 1.3" in element.get("style", "")]
    low, high = (float(x) for x in re.findall(r"[ML] ([\d.]+)", lines[0]))
    assert abs((high - low) / lengths[0] - 0.17 / 0.53) < 1e-3


def test_labels_stay_text_as_they_are_written():
    texts = list(ElementTree.fromstring(bar_chart(BARS, "images flipped (%)")).itertext())
    assert {"glasses", "53", "1.6", "0", "$x^2$ <b>", "images flipped (%)"} <= {text.strip() for text in texts}


def test_long_labels_are_cut_rather_than_written_over_the_edge():
    label = "the colour of the wall behind the person on the right"
    texts = [
        "".join(element.itertext())
        for element in ElementTree.fromstring(bar_chart((Bar(label, 0.5, 0.4, 0.6, True),), "")).iter()
    ]
    assert not any(label in text for text in texts) and any(
        text.startswith(label[:20]) and text.endswith("…") for text in texts
    )


def test_chart_in_the_page_takes_the_colours_and_letters_of_the_page():
    chart = inlined(bar_chart(BARS, "share"), 'a "chart"', "first-")
    assert "var(--accent)" in chart and not any(colour in chart for colour in COLOURS.values())
    assert 'aria-label="a &#34;chart&#34;"' in chart and "<style" not in chart and "DejaVu" not in chart
    assert all(name.startswith("first-") for name in re.findall(r'\bid="([^"]*)"', chart))


def test_colours_of_charts_are_those_of_the_style_sheet():
    style = asset("report.css").split("@media")[0]
    assert dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", style)).items() >= COLOURS.items()


def test_equal_bars_give_equal_charts():
    assert bar_chart(BARS, "share") == bar_chart.__wrapped__(BARS, "share")
