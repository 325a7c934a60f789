"""The sections of the page: each takes a summary and returns one `<section>`, or None if it has nothing."""

from __future__ import annotations

from typing import Any

from gossamer import units
from gossamer.report import chart, words
from gossamer.report.frontier import frontier, series_class, shape
from gossamer.report.markup import Child, Markup, tag
from gossamer.report.summary import Axis, Point, Spread, Summary

_CURVE_POINTS = 150  # more than the pixels of a panel can show


def section(name: str, title: str, *children: Child, note: str = "") -> Markup:
    """Returns a section with a heading, an optional line on how to read it, and its content."""
    return tag(
        "section",
        tag("h2", title, id=f"{name}-title"),
        tag("p", note, class_="note") if note else None,
        *children,
        id=name,
        aria_labelledby=f"{name}-title",
    )


def plots(summary: Summary) -> Markup | None:
    """Returns quality against every cost, one at a time, with a legend that hides and shows methods."""
    axes = summary.axes
    if not axes:
        return None
    views = [
        tag(
            "div",
            tag("div", frontier(summary, axis, width=960, height=480), class_="wide"),
            tag("div", frontier(summary, axis, width=358, height=380), class_="narrow"),
            class_="view",
            data_view=axis.key,
        )
        for axis in axes
    ]
    names = ([summary.baseline.method] if summary.baseline else []) + summary.methods
    legend = [
        tag(
            "button",
            _swatch(summary, name),
            name,
            type="button",
            data_toggle=name,
            aria_pressed="true",
            title=f"hide or show {name}",
        )
        for name in names
    ]
    return section(
        "frontier",
        "Quality against cost",
        _switch("cost", "Cost", [(axis.key, axis.title) for axis in axes]),
        tag("div", *views, class_="views panel", data_views="cost"),
        tag("div", *legend, class_="legend", role="group", aria_label="Methods"),
        note="Each mark is one method at one sparsity, whiskers are ± one standard deviation over seeds, and "
        "the dotted edge joins the networks that no other beats in both. Point at a mark, or reach it with "
        "the tab key, to read it.",
    )


def results(summary: Summary) -> Markup:
    """Returns the table of every point against the dense network."""
    axes, front = summary.axes, {point.label for point in summary.pareto("bytes")}
    head = tag(
        "tr",
        *(tag("th", name, scope="col") for name in ("Network", summary.metric, "against dense")),
        *(
            tag("th", axis.title, tag("small", "measured" if axis.measured else "counted"), scope="col")
            for axis in axes
        ),
    )
    rows = []
    for point in summary.points:
        dense = point is summary.baseline
        loss = summary.loss(point)
        level = "level" if loss <= summary.tolerance() else "worse"
        delta = "" if dense else units.quality(summary.metric, _signed(summary, loss), signed=True)
        rows.append(
            tag(
                "tr",
                tag(
                    "th",
                    _swatch(summary, point.method),
                    point.label,
                    tag("abbr", "★", title="no network here is both better and smaller")
                    if point.label in front
                    else None,
                    scope="row",
                ),
                tag("td", units.quality(summary.metric, point.quality.mean, point.quality.deviation)),
                tag("td", delta, class_=None if dense else level),
                *(_cost(summary, point, axis) for axis in axes),
                class_="dense-row" if dense else None,
            )
        )
    table = tag(
        "table",
        _caption(
            "Quality and cost of every network; under each cost, how many times less than the dense one. "
            "★ marks those where no other is both better and smaller"
        ),
        tag("thead", head),
        tag("tbody", *rows),
    )
    return section("results", "Before and after", _scroller(table, "Results"))


def layers(summary: Summary) -> Markup | None:
    """Returns the sparsity of every layer of every point, as a heat map that is a table."""
    points = [p for p in summary.points if p is not summary.baseline and p.cells[0].get("layers")]
    if not points:
        return None
    names = list(dict.fromkeys(layer["name"] for p in points for layer in p.cells[0]["layers"]))
    shapes = {la["name"]: la.get("shape") or [] for p in points for la in p.cells[0]["layers"]}
    rows = []
    for name in names:
        cells: list[Child] = []
        for point in points:
            records = [layer for cell in point.cells for layer in cell.get("layers") or []]
            found = [layer["sparsity"] for layer in records if layer["name"] == name]
            cells.append(_heat(Spread.of(found).mean if found else None))
        size = _size(shapes[name])
        rows.append(tag("tr", tag("th", tag("code", name), tag("small", size), scope="row"), *cells))
    table = tag(
        "table",
        _caption("Share of each layer's weights that is zero, mean over seeds"),
        tag(
            "thead",
            tag("tr", tag("th", "Layer", scope="col"), *(tag("th", p.label, scope="col") for p in points)),
        ),
        tag("tbody", *rows),
        class_="heat",
    )
    return section("layers", "Where the weights went", _scroller(table, "Sparsity of each layer"))


def kernels(summary: Summary) -> Markup | None:
    """Returns, for every point, which kernel each layer runs and why."""
    points = [p for p in summary.points if p is not summary.baseline and p.cells[0].get("layers")]
    if not points:
        return None
    picked = summary.pick() or points[0]
    return section(
        "kernels",
        "Which kernels run, and why",
        *(_kernel_table(point, opened=point is picked) for point in points),
        note="A sparse kernel replaces a layer's dense product only where it measured faster.",
    )


def training(summary: Summary) -> Markup | None:
    """Returns the curves of training as small panels, one a method, on shared axes."""
    methods = [*([summary.baseline.method] if summary.baseline else []), *summary.methods]
    views, names = [], []
    for key, title in ((summary.metric, f"Validation {summary.metric}"), ("train_loss", "Training loss")):
        curves = {m: [(p, c) for p in summary.points if p.method == m and (c := _curve(p, key))] for m in methods}
        values = [v for lines in curves.values() for _, line in lines for _, v in line]
        if not values:
            continue
        last = max(e for lines in curves.values() for _, line in lines for e, _ in line)
        panels = [
            _panel(summary, m, lines=lines, values=values, last=last, key=key) for m, lines in curves.items() if lines
        ]
        views.append(tag("div", *panels, class_="view grid", data_view=key))
        names.append((key, title))
    if not views:
        return None
    return section(
        "training",
        "How training went",
        _switch("curve", "Curve", names),
        tag("div", *views, class_="views", data_views="curve"),
        note="Mean over seeds, by epoch, on the same axes; in a panel, fainter lines are sparser networks.",
    )


def failures(summary: Summary) -> Markup | None:
    """Returns the cells that did not finish, with their error."""
    if not summary.failed:
        return None
    rows = [
        tag("tr", tag("th", _cell_name(cell), scope="row"), tag("td", str(cell.get("error") or "no result")))
        for cell in summary.failed
    ]
    table = tag(
        "table",
        _caption("These are in no mean above; running the command again tries them again"),
        tag("thead", tag("tr", tag("th", "Cell", scope="col"), tag("th", "What happened", scope="col"))),
        tag("tbody", *rows),
        class_="text",
    )
    return section("failed", "Cells that failed", _scroller(table, "Failed cells"))


def notes(summary: Summary) -> Markup | None:
    """Returns what the methods themselves noted, each remark once."""
    remarks: dict[str, list[str]] = {}
    for point in summary.points:
        for cell in point.cells:
            for remark in cell.get("notes") or []:
                labels = remarks.setdefault(str(remark), [])
                if point.label not in labels:
                    labels.append(point.label)
    if not remarks:
        return None
    return section(
        "notes",
        "Notes",
        tag("ul", *(tag("li", f"{remark} ({', '.join(who)})") for remark, who in remarks.items())),
    )


def provenance(summary: Summary) -> Markup:
    """Returns where, when and how the run was made, and the command that repeats it."""
    run, machine = summary.run, dict(summary.run.get("machine") or {})
    memory = machine.pop("memory_bytes", None)
    facts = {
        "Data": run.get("data"),
        "Model": run.get("model"),
        "Task": run.get("task"),
        "Seeds": ", ".join(map(str, sorted({cell["seed"] for cell in run["cells"]}))),
        "Finished": run.get("created"),
        "gossamer": run.get("gossamer"),
        **{str(key).capitalize(): value for key, value in machine.items()},
        "Memory": units.count(memory, "B") if memory else None,
        "Training": _settings(run.get("training")),
    }
    return section(
        "machine",
        "Machine, seeds, and how to repeat this",
        tag("dl", *((tag("dt", k), tag("dd", str(v))) for k, v in facts.items() if v not in (None, ""))),
        tag("p", "The same cells again, where data and model go by these names:"),
        tag("pre", tag("code", words.command(summary)), tabindex="0"),
    )


def _switch(name: str, label: str, choices: list[tuple[str, str]]) -> Markup:
    inputs = [
        tag(
            "label",
            tag("input", type="radio", name=name, value=key, checked=index == 0),
            tag("span", title),
        )
        for index, (key, title) in enumerate(choices)
    ]
    return tag("fieldset", tag("legend", label), *inputs, class_="switch", data_switch=name)


def _swatch(summary: Summary, method: str) -> Markup:
    mark = tag("path", class_="shape", d=shape(summary, method))
    group = tag("g", mark, class_=series_class(summary, method))
    return tag(
        "svg",
        group,
        viewBox="-8 -8 16 16",
        width="14",
        height="14",
        class_="chart swatch",
        aria_hidden="true",
    )


def _scroller(table: Markup, label: str) -> Markup:
    return tag("div", table, class_="scroll panel", tabindex="0", role="region", aria_label=label)


def _caption(text: str) -> Markup:
    return tag("caption", tag("span", text))


def _cost(summary: Summary, point: Point, axis: Axis) -> Markup:
    spread = point.costs.get(axis.key)
    if spread is None:
        return tag("td", units.MISSING)
    ratio = None if point is summary.baseline else summary.ratio(point, axis.key)
    text = axis.write(spread.mean)
    if axis.measured and spread.deviation:
        text += f" ± {axis.write(spread.deviation)}"
    return tag("td", text, tag("small", units.factor(ratio)) if ratio else None)


def _signed(summary: Summary, loss: float) -> float:
    return -loss if summary.higher_is_better else loss


def _heat(sparsity: float | None) -> Markup:
    if sparsity is None:
        return tag("td", units.MISSING)
    return tag("td", units.percent(sparsity), style=f"--heat:{sparsity * 100:.0f}%")


def _kernel_table(point: Point, *, opened: bool) -> Markup:
    cell = point.cells[0]
    rows = []
    for layer in cell["layers"]:
        dense, chosen = layer.get("dense_ms"), layer.get("kernel_ms")
        times = [
            tag("td", units.milliseconds(value) if value is not None else units.MISSING) for value in (dense, chosen)
        ]
        rows.append(
            tag(
                "tr",
                tag("th", tag("code", layer["name"]), scope="row"),
                tag("td", f"{layer.get('kind', '')} {_size(layer.get('shape'))}"),
                tag("td", f"{units.count(layer['nonzeros'])} of {units.count(layer['parameters'])}"),
                tag("td", layer.get("kernel") or "dense"),
                *times,
                tag("td", layer.get("reason") or "", class_="why"),
            )
        )
    heads = ("Layer", "Kind and shape", "Nonzeros", "Kernel", "Dense", "Best sparse", "Why")
    table = tag(
        "table",
        _caption(f"{point.label}, seed {cell['seed']}"),
        tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
        tag("tbody", *rows),
        class_="text",
    )
    summary = tag("summary", tag("strong", point.label), " ", tag("span", words.kernels(point)))
    return tag("details", summary, _scroller(table, f"Kernels of {point.label}"), open=opened)


def _curve(point: Point, key: str) -> list[tuple[float, float]]:
    """Returns (epoch, mean over the seeds that reached it) of one curve, thinned to what a panel can show."""
    sums: dict[float, list[float]] = {}
    for cell in point.cells:
        history: dict[str, Any] = cell.get("history") or {}
        values = history.get("train_loss") if key == "train_loss" else (history.get("validation") or {}).get(key)
        for epoch, value in zip(history.get("epoch") or [], values or [], strict=False):
            if value is not None:
                sums.setdefault(float(epoch), []).append(float(value))
    line = [(epoch, sum(values) / len(values)) for epoch, values in sorted(sums.items())]
    stride = -(-len(line) // _CURVE_POINTS)
    return line[::stride] if stride > 1 else line


def _panel(
    summary: Summary,
    method: str,
    *,
    lines: list[tuple[Point, list[tuple[float, float]]]],
    values: list[float],
    last: float,
    key: str,
) -> Markup:
    width, height = 340.0, 210.0
    x = chart.Scale(low=0.0, high=max(last, 1.0), start=52, end=width - 14)
    y = chart.fit_scale(values, height - 46, 34)
    percentage = key != "train_loss" and units.is_percentage(key)
    drawn: list[Child] = list(
        chart.axes(
            x,
            y,
            x_ticks=x.ticks(4),
            y_ticks=y.ticks(5),
            write_x=lambda v: units.significant(v, 6),
            write_y=units.percent if percentage else units.significant,
            x_title="epoch",
        )
    )
    ordered = sorted(lines, key=lambda item: item[0].sparsity or 0.0)
    for index, (point, line) in enumerate(ordered):
        opacity = 1.0 - 0.65 * index / max(len(ordered) - 1, 1)
        d = chart.path([(x(epoch), y(value)) for epoch, value in line])
        name = tag("title", point.label)
        drawn.append(tag("path", name, class_=f"curve {series_class(summary, method)}", d=d, stroke_opacity=opacity))
    drawing = chart.svg(width, height, *drawn, title=f"{key} of {method} by epoch")
    return tag("figure", tag("figcaption", _swatch(summary, method), method), drawing, class_="panel")


def _settings(value: Any) -> str | None:
    """Returns settings as `key value` pairs on one line, nested ones in brackets."""
    if isinstance(value, dict):
        return ", ".join(
            f"{k} {f'({_settings(v)})' if isinstance(v, dict) else v}" for k, v in value.items() if v is not None
        )
    return None if value is None else str(value)


def _size(shape: list[int] | None) -> str:
    return f" {units.TIMES} ".join(map(str, shape or []))


def _cell_name(cell: dict[str, Any]) -> str:
    sparsity = f" {units.percent(cell['sparsity'])}" if cell.get("sparsity") else ""
    return f"{cell['method']}{sparsity}, seed {cell['seed']}"
