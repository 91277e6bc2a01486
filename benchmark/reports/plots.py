"""A plot as SVG that stands in a page: one line a model, a dot for ours with its deviation, a ring for the paper's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from microlens.pages import Html, element

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.reports.sections import Point

_LINE, _LEFT, _WIDTH, _RIGHT, _TOP = 22, 260, 420, 40, 12  # pixels
_TICKS = 5


def dot_plot(points: Sequence[Point], axis: str) -> Html:
    """Draw points from top to bottom, on an axis that holds zero; a point without any value has no line."""
    shown = [point for point in points if point.ours is not None or point.paper is not None]
    low, high, step = _scale(shown)

    def x(value: float) -> str:
        return f"{_LEFT + _WIDTH * (value - low) / (high - low):.1f}"

    bottom = _TOP + _LINE * len(shown)
    ticks = [low + step * i for i in range(round((high - low) / step) + 1)]
    inside = [
        part
        for tick in ticks
        for part in (
            element("line", x1=x(tick), x2=x(tick), y1=f"{_TOP}", y2=f"{bottom}", class_="grid"),
            element("text", f"{tick:g}", x=x(tick), y=f"{bottom + 16}", class_="tick"),
        )
    ]
    for i, point in enumerate(shown):
        y = f"{_TOP + _LINE * (i + 0.5):.1f}"
        inside.append(element("text", point.label, x=f"{_LEFT - 10}", y=y, class_="label"))
        if point.paper is not None:
            inside.append(
                element(
                    "circle",
                    _tip(f"{point.label}, paper {point.paper:.4f}"),
                    cx=x(point.paper),
                    cy=y,
                    r="5",
                    class_="paper",
                )
            )
        if point.ours is not None:
            ends = {"x1": x(max(low, point.ours - point.deviation)), "x2": x(min(high, point.ours + point.deviation))}
            inside.append(element("line", **ends, y1=y, y2=y, class_="spread"))
            told = f"{point.label}, ours {point.ours:.4f} ± {point.deviation:.4f}"
            inside.append(element("circle", _tip(told), cx=x(point.ours), cy=y, r="4", class_="ours"))
    inside.append(element("text", axis, x=f"{_LEFT + _WIDTH / 2}", y=f"{bottom + 34}", class_="tick"))
    size = {"width": f"{_LEFT + _WIDTH + _RIGHT}", "height": f"{bottom + 42}"}
    return element("svg", *inside, role="img", aria_label=axis, xmlns="http://www.w3.org/2000/svg", **size)


def _tip(text: str) -> Html:
    return element("title", text)


def _scale(points: Sequence[Point]) -> tuple[float, float, float]:
    """Both ends of the axis and the step between its marks: 1, 2 or 5 times a power of ten."""
    ours = [(one.ours, one.deviation) for one in points if one.ours is not None]
    values = [0.0, *(one.paper for one in points if one.paper is not None)]
    values += [end for mean, deviation in ours for end in (mean - deviation, mean + deviation)]
    reach = (max(values) - min(0.0, *(mean for mean, _ in ours))) or 1.0 if ours else max(values) or 1.0
    power = 10 ** math.floor(math.log10(reach / _TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * _TICKS >= reach)
    lowest = min([0.0, *(mean for mean, _ in ours)])
    return math.floor(lowest / step) * step, math.ceil(max(values) / step) * step or step, step
