"""Colours in light and dark, markers, and the style of charts, shared by the page and the picture.

Every colour of text has a contrast of at least 4.5:1 on its background. A method is told by its marker as
well as by its colour, so that nothing depends on seeing colour.
"""

from __future__ import annotations

COLOURS: dict[str, tuple[str, str]] = {  # name: (on light, on dark)
    "ground": ("#fbfaf8", "#14161b"),
    "panel": ("#ffffff", "#1b1e25"),
    "ink": ("#1d2027", "#eceae4"),
    "soft": ("#5d6370", "#a3a8b4"),
    "line": ("#e3e0da", "#31353f"),
    "accent": ("#1f5fbf", "#8bb8ff"),
    "good": ("#0b7350", "#5bd6a4"),
    "bad": ("#b3261e", "#ff9c8f"),
    "tint": ("#eef3fb", "#202a3a"),
    "s0": ("#1f5fbf", "#8bb8ff"),
    "s1": ("#c2410c", "#ffa06b"),
    "s2": ("#0b7a57", "#58d3a3"),
    "s3": ("#9b3a97", "#e79be4"),
    "s4": ("#8a6300", "#ecc558"),
    "s5": ("#0c7287", "#63cfe4"),
    "s6": ("#bb2449", "#ff90a8"),
    "s7": ("#5a54c8", "#b3afff"),
}
SERIES = 8  # colours before they repeat, then with another marker

MARKERS = (  # paths about the origin, of about equal area
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "M-4.5-4.5h9v9h-9z",
    "M0-6L5.6 4.2h-11.2z",
    "M0-6.2L6.2 0L0 6.2L-6.2 0z",
    "M0 6L5.6-4.2h-11.2z",
    "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    "M0-6L5.7-1.9L3.5 4.9h-7L-5.7-1.9z",
)
DENSE_MARKER = "M0-7L7 0L0 7L-7 0z"

CHART = (
    """
.chart text{font:12px system-ui,sans-serif;fill:var(--soft)}
.chart .title{font-weight:600;fill:var(--ink)}
.chart .grid{stroke:var(--line);stroke-width:1;fill:none}
.chart .front{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:2 4;fill:none;stroke-linecap:round}
.chart .trail{stroke-width:1.5;fill:none;stroke-opacity:.45}
.chart .curve{stroke-width:2;fill:none;stroke-linejoin:round}
.chart .whisker{stroke-width:1.25;fill:none;stroke-opacity:.6}
.chart .shape{stroke:var(--panel);stroke-width:1.25}
.chart .dense .shape{fill:var(--panel);stroke:var(--ink);stroke-width:2}
.chart .dense .whisker,.chart .dense.curve,.chart .dense .curve{stroke:var(--ink)}
.chart .label{font-size:11.5px;font-weight:600;fill:var(--ink)}
.chart .label{stroke:var(--panel);stroke-width:3;paint-order:stroke;
 stroke-linejoin:round}
.chart .back{fill:var(--panel)}
"""
    + "".join(
        f".chart .s{i} .shape,.chart .s{i}.shape{{fill:var(--s{i})}}.chart .s{i}.beaten .shape{{stroke:var(--s{i})}}"
        f".chart .s{i} .whisker,.chart .s{i}.trail,.chart .s{i}.curve{{stroke:var(--s{i})}}\n"
        for i in range(SERIES)
    )
    + ".chart .mark.beaten .shape{fill:var(--panel);stroke-width:1.75}"
)


def marker(series: int) -> str:
    """Returns the marker's path of the series with this number, from 0."""
    return MARKERS[(series + series // SERIES) % len(MARKERS)]


def page_variables() -> str:
    """Returns the colours as CSS variables that follow `color-scheme`."""
    pairs = "".join(f"--{name}:light-dark({light},{dark});" for name, (light, dark) in COLOURS.items())
    return f":root{{color-scheme:light dark;{pairs}}}"


def picture_style() -> str:
    """Returns the charts' style with the colours written out, for readers of SVG that know no variables."""
    return _written(0) + "@media(prefers-color-scheme:dark){" + _written(1) + "}"


def _written(theme: int) -> str:
    style = CHART
    for name, pair in COLOURS.items():
        style = style.replace(f"var(--{name})", pair[theme])
    return style
