"""Pictures as SVG: bars with intervals, lines, histograms, gains and losses.

Colors are those of Okabe and Ito, which color-blind readers can tell apart; text has the page's color, for light and dark pages.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_WIDTH = 720
_LABELS = 230  # of it for the labels of bars
_LABEL = 30  # characters that fit into it
_VALUES = 70
_ROW = 26
_HEIGHT = 300  # of charts with two axes
_LEFT, _TOP, _BOTTOM = 60, 34, 46


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its 95 % interval, where there is one."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Axes:
    """What a chart's axes show."""

    x: str
    y: str


def bars(title: str, rows: Sequence[Bar], digits: int = 4) -> str:
    """Draw horizontal bars from 0, with intervals; values have so many digits after the point."""
    most = max([row.high or row.value for row in rows] + [row.value for row in rows] + [1e-9])
    width = _WIDTH - _LABELS - _VALUES
    drawn = []
    for number, row in enumerate(rows):
        y, length = number * _ROW + 4, max(row.value, 0.0) / most * width
        drawn.append(_text(_LABELS - 8, y + 13, _ending(row.label), "end"))
        drawn.append(_box(_LABELS, y, length, _ROW - 9, COLORS[0]))
        if row.low is not None and row.high is not None:
            low, high = (_LABELS + max(end, 0.0) / most * width for end in (row.low, row.high))
            drawn.append(
                _line(low, y + 8.5, high, y + 8.5) + _line(low, y + 4, low, y + 13) + _line(high, y + 4, high, y + 13)
            )
        end = _LABELS + max(length, (row.high or 0.0) / most * width)
        drawn.append(_text(end + 6, y + 13, f"{row.value:,.{digits}f}"))
    return _svg(title, len(rows) * _ROW + 6, drawn)


def lines(title: str, axes: Axes, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw one line per name over the same values of x, which stand at equal distances.

    Args:
        title: What the picture shows, for readers who cannot see it.
        axes: Names of the axes, x and y.
        series: Points by name.
    """
    steps = sorted({x for points in series.values() for x, _ in points})
    most = max([y for points in series.values() for _, y in points] + [1e-9])
    width, height = _WIDTH - _LEFT - 20, _HEIGHT - _TOP - _BOTTOM
    place = {x: _LEFT + (number / max(len(steps) - 1, 1)) * width for number, x in enumerate(steps)}
    drawn = [*_legend(list(series)), *_y_axis(most, axes.y)]
    drawn += [_text(place[x], _HEIGHT - _BOTTOM + 18, f"{x:g}", "middle") for x in steps]
    drawn.append(_text(_LEFT + width / 2, _HEIGHT - 8, axes.x, "middle"))
    for number, points in enumerate(series.values()):
        color = COLORS[number % len(COLORS)]
        at = [(place[x], _TOP + height * (1 - y / most)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in at]
    return _svg(title, _HEIGHT, drawn)


def histogram(title: str, axes: Axes, edges: Sequence[float], shares: Mapping[str, Sequence[float]]) -> str:
    """Draw shares per interval side by side, without the empty intervals at both ends.

    Args:
        title: What the picture shows.
        axes: Names of the axes.
        edges: Ends of the intervals, one more than there are shares.
        shares: Shares by name, each as long as there are intervals.
    """
    used = [place for place in range(len(edges) - 1) if any(values[place] for values in shares.values())]
    shown = range(used[0], used[-1] + 1) if used else range(0)
    most = max([value for values in shares.values() for value in values] + [1e-9])
    width, height = _WIDTH - _LEFT - 20, _HEIGHT - _TOP - _BOTTOM
    step = width / max(len(shown), 1)
    drawn = [*_legend(list(shares)), *_y_axis(most, axes.y)]
    for number, place in enumerate(shown):
        x = _LEFT + number * step
        for offset, values in enumerate(shares.values()):
            tall = height * values[place] / most
            wide = step * 0.9 / len(shares)
            drawn.append(_box(x + offset * wide, _TOP + height - tall, wide, tall, COLORS[offset % len(COLORS)]))
        if number % max(len(shown) // 10, 1) == 0:
            drawn.append(_text(x, _HEIGHT - _BOTTOM + 18, f"{edges[place]:.2f}", "middle"))
    drawn.append(_text(_LEFT + width / 2, _HEIGHT - 8, axes.x, "middle"))
    return _svg(title, _HEIGHT, drawn)


def differences(title: str, label: str, values: Sequence[float]) -> str:
    """Draw one thin bar per query, largest gain first, losses below the line."""
    ordered = sorted(values, reverse=True)
    most = max([abs(value) for value in ordered] + [1e-9])
    width, middle = _WIDTH - _LEFT - 20, _TOP + (_HEIGHT - _TOP - _BOTTOM) / 2
    half, step = middle - _TOP, width / max(len(ordered), 1)
    drawn = [
        _text(_LEFT - 6, _TOP + 5, f"+{most:.2f}", "end"),
        _text(_LEFT - 6, 2 * middle - _TOP, f"-{most:.2f}", "end"),
    ]
    for number, value in enumerate(ordered):
        tall = half * abs(value) / most
        top = middle - tall if value > 0 else middle
        drawn.append(
            _box(_LEFT + number * step, top, max(step * 0.9, 0.5), tall, COLORS[0] if value > 0 else COLORS[5])
        )
    drawn.append(_line(_LEFT, middle, _LEFT + width, middle))
    drawn.append(_text(_LEFT + width / 2, _HEIGHT - 8, label, "middle"))
    return _svg(title, _HEIGHT, drawn)


def _ending(label: str) -> str:
    """Return the end of a label that is too long: runs of a folder differ there."""
    return label if len(label) <= _LABEL else f"…{label[1 - _LABEL :]}"


def _legend(names: Sequence[str]) -> Iterator[str]:
    x = float(_LEFT)
    for number, name in enumerate(names):
        yield _box(x, 6, 12, 12, COLORS[number % len(COLORS)])
        yield _text(x + 18, 17, name)
        x += 50 + 11 * len(name)


def _y_axis(most: float, label: str) -> Iterator[str]:
    height = _HEIGHT - _TOP - _BOTTOM
    for step in range(5):
        y = _TOP + height * (1 - step / 4)
        yield f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - 20}" y2="{y:.1f}" class="grid"/>'
        yield _text(_LEFT - 6, y + 4, f"{most * step / 4:.2f}", "end")
    middle = f"{_TOP + height / 2:.0f}"
    turned = f'transform="rotate(-90 14 {middle})"'
    yield f'<text x="14" y="{middle}" text-anchor="middle" {turned}>{escape(label)}</text>'


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _box(x: float, y: float, width: float, height: float, color: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="ink"/>'


def _svg(title: str, height: float, drawn: Sequence[str]) -> str:
    name = escape(title)
    head = f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{name}"><title>{name}</title>'
    return f"{head}{''.join(drawn)}</svg>"
