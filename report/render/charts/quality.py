"""How one run does on single tweets: confusion, reliability, accuracy by group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from report.render import drawing, wording
from report.render.blocks import Figure
from report.render.drawing import Spec
from report.statistics import Estimate

_SHARE = {"type": "quantitative", "scale": {"domain": [0, 100]}, "axis": {"tickCount": 5}}


def confusion_figure(
    name: str, alt: str, caption: str, matrices: Sequence[tuple[str, npt.NDArray[np.int64]]], labels: Sequence[str]
) -> Figure:
    """Counts, and rates of each label's tweets, side by side for each model.

    Args:
        matrices: names of models, and their counts by (label, answer).
        labels: names of the labels, in the order of the counts.
    """
    rows = []
    for model, counts in matrices:
        rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        for (label, answer), rate in np.ndenumerate(rates):
            n, share = int(counts[label, answer]), 100 * float(rate)
            row = {"model": model, "label": labels[label], "answer": labels[answer], "count": n, "rate": share}
            rows.append(row | {"shown": f"{n:,}", "percent": f"{share:.1f} %"})
    return Figure(name, alt, caption, lambda width: _confusion(width, rows, list(labels)), is_half=True)


def _confusion(width: int, rows: list[dict[str, Any]], labels: list[str]) -> Spec:
    side = (width - 130) // 2
    x = {"field": "answer", "type": "nominal", "sort": labels, "title": "answer", "axis": {"labelAngle": 0}}
    y = {"field": "label", "type": "nominal", "sort": labels, "title": "label", "axis": {"labelAngle": -90}}
    shade = {"domain": [0, 100], "range": ["#e9f1f7", drawing.BLUE]}
    fill = {"field": "rate", "type": "quantitative", "scale": shade, "legend": None}
    # On its own shade, whatever the page's theme.
    ink = {"condition": {"test": "datum.rate > 50", "value": "#ffffff"}, "value": "#1d2734"}
    layers: list[Spec] = [
        {
            "mark": {"type": "rect", "cornerRadius": 3, "stroke": drawing.PAPER, "strokeWidth": 3},
            "encoding": {"color": fill},
        },
        {"mark": {"type": "text", "fontSize": 15, "dy": -8}, "encoding": {"text": {"field": "shown"}, "color": ink}},
        {"mark": {"type": "text", "dy": 10}, "encoding": {"text": {"field": "percent"}, "color": ink}},
    ]
    panel = {"width": side, "height": min(side, 160), "encoding": {"x": x, "y": y}, "layer": layers}
    models = list(dict.fromkeys(row["model"] for row in rows))
    facet = {"column": {"field": "model", "type": "nominal", "sort": models}}
    return drawing.whole(data={"values": rows}, facet=facet, spacing=16, spec=panel)


@dataclass(frozen=True)
class Reliability:
    """Tweets of one model in groups of similar probability: the mean probability, and the share that is positive."""

    name: str
    predicted: list[float]
    observed: list[Estimate]


def reliability_figure(name: str, alt: str, caption: str, models: Sequence[Reliability]) -> Figure:
    """Observed shares over predicted probabilities; on the diagonal probabilities mean what they say."""
    rows = [
        {"model": model.name, "predicted": 100 * predicted, **_bounds(share)}
        for model in models
        for predicted, share in zip(model.predicted, model.observed, strict=True)
    ]
    return Figure(name, alt, caption, lambda width: _reliability(width, rows), is_half=True)


def _bounds(share: Estimate) -> dict[str, Any]:
    low, high = share.low or 0, share.high or 0
    bounds = {"value": 100 * share.value, "low": 100 * low, "high": 100 * high}
    return bounds | {"said": f"{wording.percent(share.value)} % ({wording.percent_range(low, high)}), n = {share.n:,}"}


def _colour(rows: list[dict[str, Any]]) -> Spec:
    names = list(dict.fromkeys(row["model"] for row in rows))
    return {"field": "model", "type": "nominal", "scale": {"domain": names, "range": [drawing.BLUE, drawing.ORANGE]}}


def _reliability(width: int, rows: list[dict[str, Any]]) -> Spec:
    x = {"field": "predicted", **_SHARE, "title": "mean probability of positive (%)"}
    y = {**_SHARE, "title": "positive tweets (%)"}
    colour = _colour(rows)
    diagonal = [{"predicted": 0, "value": 0}, {"predicted": 100, "value": 100}]
    dotted: Spec = {"type": "line", "strokeDash": [2, 3], "color": drawing.MUTED}
    at: Spec = {"x": x, "y": {"field": "value", **y}}
    whiskers = {"x": x, "y": {"field": "low", **y}, "y2": {"field": "high"}, "color": colour}
    dots = at | {"color": colour, "description": drawing.said("said")}
    layers: list[Spec] = [
        {"data": {"values": diagonal}, "mark": dotted, "encoding": at},
        {"data": {"values": rows}, "mark": {"type": "rule", "strokeWidth": 1.5}, "encoding": whiskers},
        {"data": {"values": rows}, "mark": "line", "encoding": at | {"color": colour}},
        {"data": {"values": rows}, "mark": {"type": "point", "filled": True, "size": 40}, "encoding": dots},
    ]
    return drawing.chart(width, 300, layer=layers)


def groups_figure(
    name: str, alt: str, caption: str, axis: str, groups: Sequence[str], models: Sequence[tuple[str, list[Estimate]]]
) -> Figure:
    """Accuracy with its interval by group of tweets.

    Args:
        axis: what the groups are made by.
        groups: their names.
        models: names of models, and their accuracy in each group.
    """
    rows = [
        {"model": model, "group": group, **_bounds(share)}
        for model, shares in models
        for group, share in zip(groups, shares, strict=True)
    ]
    return Figure(name, alt, caption, lambda width: _groups(width, rows, axis, list(groups)), is_half=True)


def _groups(width: int, rows: list[dict[str, Any]], axis: str, groups: list[str]) -> Spec:
    labels = {"labelAngle": 0, "grid": False}
    x = {"field": "group", "type": "nominal", "sort": groups, "title": axis or None, "axis": labels}
    y = {"type": "quantitative", "title": "accuracy (%)", "scale": {"zero": False}}
    colour = _colour(rows)
    beside = {"field": "model", "sort": colour["scale"]["domain"], "scale": {"paddingOuter": 0.7}}
    whiskers = {"y": {"field": "low", **y}, "y2": {"field": "high"}}
    dots = {"y": {"field": "value", **y}, "description": drawing.said("said")}
    layers: list[Spec] = [
        {"mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.55}, "encoding": whiskers},
        {"mark": {"type": "point", "filled": True, "size": 80, "opacity": 1}, "encoding": dots},
    ]
    encoding = {"x": x, "xOffset": beside, "color": colour}
    return drawing.chart(width, 240, data={"values": rows}, encoding=encoding, layer=layers)
