# SPDX-License-Identifier: Apache-2.0
"""Does memory grow? The slope of readings over time with its confidence interval, and a verdict, as loadgen/trend.c computes them
(the method: docs/design.md, "A trend of memory"). verify computes a soak's figures again from memory.csv with it.

    trend = judge([(at_ns, bytes), ...])
    trend.verdict, trend.slope, trend.low, trend.high      # bytes an hour; None: too few readings
"""
import math
from collections.abc import Sequence
from dataclasses import dataclass

from poolmark.base.curves import LEVEL_BYTES, LEVEL_SHARE
from poolmark.base.forms import RecordData, Row

BINS_MAX, BINS_MIN = 60, 20
NS_PER_H, NORMAL_95 = 3.6e12, 1.959963984540054
CORRELATION_MAX, LEVEL_SHARE_PER_H = 0.98, 0.02
END_PART, OUTSIDE_PART, BEYOND_SHARE = 6, 10, 0.5
TOO_SHORT, LEVEL, GROWING, FALLING = "too short to tell", "level", "growing", "falling"
HIGHER, LOWER = "higher at the end", "lower at the end"


@dataclass
class Trend:
    verdict: str = TOO_SHORT
    readings: int = 0
    level_bytes: float | None = None
    slope: float | None = None
    low: float | None = None
    high: float | None = None
    hours: float = 0.0
    end_bytes: float = 0.0      # by how much the last end_hours are above (below: negative) all before, where that is beyond; else 0
    end_hours: float = 0.0

    @property
    def matters(self) -> float:
        """A growth an hour, or a step at the end, that is no level memory any more."""
        return max((self.level_bytes or 0.0) * LEVEL_SHARE_PER_H, 2.0 * LEVEL_BYTES)

    def percent(self, value: float | None) -> float | None:
        return None if value is None or not self.level_bytes else 100 * value / self.level_bytes

    def above(self, percent: float) -> str:
        """Whether the growth is above so many percent an hour: rings, silent, or too short to tell."""
        if self.low is None or self.high is None or self.level_bytes is None:
            return TOO_SHORT
        bound = self.level_bytes * percent / 100
        return "rings" if self.low > bound else "silent" if self.high <= bound and self.end_bytes <= 0 else TOO_SHORT


def median(values: Sequence[float]) -> float:
    ordered, half = sorted(map(float, values)), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def correlation(hours: list[float], levels: list[float], level: float, slope: float) -> float:
    """Of neighbouring residuals, corrected for the bias under a fitted line."""
    rest, n = [value - level - slope * hour for hour, value in zip(hours, levels, strict=True)], len(hours)
    mean = 0.0
    for one in rest:
        mean += one / n
    everything = neighbours = 0.0
    for i, one in enumerate(rest):
        everything += (one - mean) * (one - mean)
        if i:
            neighbours += (one - mean) * (rest[i - 1] - mean)
    found = (n * (neighbours / everything) + 2) / (n - 4) if everything > 0 else 0.0
    return min(max(found, 0.0), CORRELATION_MAX)


def bins_of(points: list[tuple[int, int]], count: int) -> tuple[list[float], list[float]]:
    """Medians of bins of equal numbers of readings: hours from the first one on, and bytes."""
    edges = [len(points) * i // count for i in range(count + 1)]
    parts = [points[first:last] for first, last in zip(edges, edges[1:], strict=False)]
    return ([median([(at - points[0][0]) / NS_PER_H for at, _ in part]) for part in parts],
            [median([value for _, value in part]) for part in parts])


def find_slope(trend: Trend, hours: list[float], levels: list[float]) -> None:
    n = len(hours)
    slopes = sorted((levels[j] - levels[i]) / (hours[j] - hours[i]) for i in range(n) for j in range(i + 1, n) if hours[j] > hours[i])
    if not slopes:
        return
    trend.level_bytes, trend.slope, trend.hours = median(levels), median(slopes), hours[-1] - hours[0]
    together = correlation(hours, levels, trend.level_bytes, trend.slope)
    reach = NORMAL_95 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18 * (1 + together) / (1 - together))
    low, high = math.floor((len(slopes) - reach) / 2) - 1, math.ceil((len(slopes) + reach) / 2)
    if low < 0 or high >= len(slopes):
        low, high = 0, len(slopes) - 1      # at most all of them
    least = max(int(trend.level_bytes) // round(1 / LEVEL_SHARE), LEVEL_BYTES) / (hours[-1] - hours[0])
    trend.low, trend.high = min(slopes[low], trend.slope - least), max(slopes[high], trend.slope + least)
    find_end(trend, [value - trend.slope * hour for hour, value in zip(hours, levels, strict=True)])


def beyond(rest: list[float], length: int, least: float) -> float:
    """How far the last `length` bins are beyond all windows of that length before them; 0: they are not."""
    windows, before = [median(rest[at:at + length]) for at in range(len(rest) - 2 * length + 1)], sorted(rest[:-length])
    last, margin, outside = median(rest[-length:]), BEYOND_SHARE * (max(windows) - min(windows)), len(before) // OUTSIDE_PART
    above, below = max(max(windows) + margin, before[-1 - outside]), min(min(windows) - margin, before[outside])
    shift = last - median(before)
    return shift if (last > above or last < below) and abs(shift) > least else 0.0


def find_end(trend: Trend, rest: list[float]) -> None:
    """A slope of medians does not see what is in the last few per cent of the time alone."""
    for length in range(1, len(rest) // END_PART + 1):
        shift = beyond(rest, length, trend.matters)
        if shift and abs(shift) >= abs(trend.end_bytes):
            trend.end_bytes, trend.end_hours = shift, trend.hours / (len(rest) - 1) * length


def verdict_of(trend: Trend) -> str:
    if trend.low is None or trend.high is None or trend.level_bytes is None:
        return TOO_SHORT
    if trend.low > 0:
        return LOWER if trend.end_bytes < 0 else GROWING
    if trend.high < 0:
        return HIGHER if trend.end_bytes > 0 else FALLING
    if trend.low < -trend.matters or trend.high > trend.matters:
        return TOO_SHORT
    return HIGHER if trend.end_bytes > 0 else LOWER if trend.end_bytes < 0 else LEVEL


def judge(points: list[tuple[int, int]]) -> Trend:
    """`points`: (at_ns, bytes) in the order of time. The first tenth of the time is left out."""
    if points:
        from_ns = points[0][0] + (points[-1][0] - points[0][0]) // 10
        points = [one for one in points if one[0] >= from_ns]
    trend = Trend(readings=len(points))
    bins = min(len(points), BINS_MAX)
    if bins >= BINS_MIN:
        find_slope(trend, *bins_of(points, bins))
    trend.verdict = verdict_of(trend)
    return trend


def of_rows(rows: list[Row], column: str, phase: str = "soak") -> Trend:
    """Of the lines of memory.csv with that phase."""
    return judge([(row["at_ns"], row[column]) for row in rows if row.get("phase") == phase and row.get(column) is not None])


def figures(trend: Trend) -> dict[str, float | None]:
    return {"soak.memory_readings": trend.readings, "soak.memory_level_bytes": trend.level_bytes, "soak.memory_slope": trend.slope,
            "soak.memory_slope_low": trend.low, "soak.memory_slope_high": trend.high,
            "soak.memory_growth": trend.percent(trend.slope)}


def complaints(record: RecordData, trend: Trend) -> list[str]:
    """Verdicts on memory in a record that its readings contradict."""
    verdicts = (record.get("summary") or {}).get("verdicts") or {}
    measured = "soak.memory_readings" in record.get("metrics", {})
    found = {"memory": trend.verdict, "memory_above_20_percent_an_hour": trend.above(20.0)}
    return [f"summary.verdicts.{name}: the record says {verdicts[name].get('verdict')!r}, memory.csv gives {verdict!r}"
            for name, verdict in found.items()
            if name in verdicts and verdicts[name].get("verdict") not in ((verdict,) if measured else (verdict, "not measured"))]
