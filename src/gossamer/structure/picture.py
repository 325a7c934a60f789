"""A plan as a table of text, and as a picture of groups by units."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from gossamer.structure.removal import parse_ranges
from gossamer.units import count, percent

if TYPE_CHECKING:
    from gossamer.structure.plan import Plan

_BAR = 24  # characters of the widest group
_ROW, _LABEL, _WIDTH = 16, 260, 420  # pixels


def table(plan: Plan) -> str:
    """Returns one line a group that loses units, with a bar for its width; then costs and what keeps all units."""
    longest = max((len(group.name) for group in plan.groups), default=5)
    widest = max((group.units for group in plan.groups), default=1)
    lines = [f"{'group':<{longest}}  {'units':>6}    kept"]
    for group in plan.groups:
        whole = max(1, round(_BAR * group.units / widest))
        filled = max(1, round(whole * group.kept / group.units))
        bar = "█" * filled + "░" * (whole - filled)
        lines.append(f"{group.name:<{longest}}  {group.units:>6} → {group.kept:>6}  {bar}")
    lines.append("")
    for field in ("parameters", "bytes", "macs"):
        before, after = getattr(plan.cost_before, field), getattr(plan.cost, field)
        share = f" ({percent(1 - after / before)} less)" if before else ""
        lines.append(f"{field}: {count(before)} → {count(after)}{share}")
    if plan.rounding:
        lines.append(f"widths: {plan.rounding}")
    if plan.refused:
        lines += ["", "not removed:"]
        names: dict[str, list[str]] = {}
        for name, reason in plan.refused.items():
            names.setdefault(reason, []).append(name)
        for reason, of_reason in names.items():
            more = f" and {len(of_reason) - 3} more" if len(of_reason) > 3 else ""
            lines.append(f"  {', '.join(of_reason[:3])}{more}: {reason}")
    if plan.unknown:
        calls = ", ".join(f"{name} ({times} times)" for name, times in plan.unknown.items())
        lines.append(f"operators without a rule: {calls}")
    if plan.unused:
        more = f" and {len(plan.unused) - 3} more" if len(plan.unused) > 3 else ""
        lines.append(f"not used in this run, and left as they are: {', '.join(plan.unused[:3])}{more}")
    return "\n".join(lines)


def svg(plan: Plan) -> str:
    """Returns an SVG document: a row a group, as wide as it has units; what stays is filled."""
    widest = max((group.units for group in plan.groups), default=1)
    unit = _WIDTH / widest
    height = _ROW * (len(plan.groups) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LABEL + _WIDTH + 80} {height}" '
        'font-family="sans-serif" font-size="11" role="img" aria-label="units kept of each group">'
    ]
    for row, group in enumerate(plan.groups):
        top = row * _ROW + 4
        parts.append(f'<text x="{_LABEL - 8}" y="{top + 9}" text-anchor="end">{escape(group.name)}</text>')
        parts.append(
            f'<rect x="{_LABEL}" y="{top}" width="{group.units * unit:.1f}" height="{_ROW - 4}" fill="#d8dee6"/>'
        )
        for first, last in _runs(group.keep):
            parts.append(
                f'<rect x="{_LABEL + first * unit:.1f}" y="{top}" width="{(last - first + 1) * unit:.2f}" '
                f'height="{_ROW - 4}" fill="#2b6cb0"/>'
            )
        end = _LABEL + group.units * unit + 6
        parts.append(f'<text x="{end:.1f}" y="{top + 9}">{group.kept} of {group.units}</text>')
    return "".join([*parts, "</svg>"])


def _runs(keep: str) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for position in parse_ranges(keep).tolist():
        if runs and runs[-1][1] == position - 1:
            runs[-1] = (runs[-1][0], position)
        else:
            runs.append((position, position))
    return runs
