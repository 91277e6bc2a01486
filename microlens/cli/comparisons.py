"""How comparisons are shown: a line a metric, and a line a group."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from microlens.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.compare import Comparison
    from benchmark.groups import Group


def print_comparisons(found: Sequence[Comparison], *, as_json: bool) -> None:
    if as_json:
        print_json({"comparisons": [asdict(one) for one in found]})
        return
    sys.stdout.write("\n".join(_text(one) for one in found))


def _text(one: Comparison) -> str:
    sides = zip("AB", (one.a, one.b), one.seeds, strict=True)
    lines = [
        *(f"{side}  {name} ({count} seed{'s' * (count != 1)})" for side, name, count in sides),
        f"{one.users:,} users, drawn anew {one.resamples:,} times",
        "",
        f"{'':<10}{'A':>9}{'B':>9}{'B - A':>10}   95% interval",
        *(
            f"{d.metric.upper():<10}{d.a:>9.4f}{d.b:>9.4f}{d.mean:>+10.4f}   {d.low:+.4f} to {d.high:+.4f}"
            + ("" if d.is_clear else "  (holds zero)")
            for d in one.differences
        ),
        "",
        "HR@10 by how often the target was met in training",
        f"{'met':<10}{'users':>9}{'A':>18}{'B':>18}   B / A - 1",
        *(_group_line(group) for group in one.groups),
        "",
    ]
    return "\n".join(lines)


def _group_line(group: Group) -> str:
    a, b = f"{group.a:.4f} ± {group.a_error:.4f}", f"{group.b:.4f} ± {group.b_error:.4f}"
    change = "A hits nothing"
    if group.improvement is not None:
        change = f"{group.improvement:+.1%} ± {group.improvement_error:.1%}"
    return f"{group.name:<10}{group.users:>9,}{a:>18}{b:>18}   {change}"
