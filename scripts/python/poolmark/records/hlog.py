# SPDX-License-Identifier: Apache-2.0
"""Reads HdrHistogram interval logs (version 1.3, encoding V2 compressed), as written by the load generator.

    for interval in read(path):
        interval.tag, interval.start_s, interval.length_s, interval.histogram
    histogram.percentile(99.9)
    histogram.count
    histogram.merge(other)

HdrHistogram's "V2 Histogram Encoding" is a cookie, a length and zlib-compressed data: cookie, payload length, normalising
offset, significant digits, lowest and highest trackable value, conversion ratio, and the counts as ZigZag LEB128 words. A
negative word is a run of zeros. A broken line is an error that names the file and the line. One thread at a time.
"""
import base64
import binascii
import math
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.errors import RecordError

COMPRESSED_COOKIE, PLAIN_COOKIE = 0x1C849304, 0x1C849303
MAX_PLAIN = 1 << 24   # bytes of one histogram, decompressed
MAX_COUNTS = 1 << 20
HIGHEST_NS = 3_600_000_000_000      # the generator counts a longer time as this one (base/hist.h): such a figure is not known
PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99_9": 99.9}     # of a latency, in a record


class Histogram:
    """Counts of values in the buckets of an HdrHistogram with a given lowest value and precision."""

    def __init__(self, lowest: int = 1, digits: int = 3) -> None:
        if not 1 <= digits <= 5 or not 1 <= lowest < 1 << 62:
            raise ValueError(f"{digits} digits from {lowest}")
        self.lowest, self.digits = lowest, digits
        self.unit = int(math.log2(lowest))
        self.half_bits = max(math.ceil(math.log2(2 * 10 ** digits)), 1) - 1
        self.counts: dict[int, int] = {}
        self.exact_highest: int | None = None  # if the log contains it

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    def highest_of(self, index: int) -> int:
        """The highest value in bucket `index`."""
        half = 1 << self.half_bits
        bucket, sub = (index >> self.half_bits) - 1, (index & (half - 1)) + half
        if bucket < 0:
            bucket, sub = 0, sub - half
        return ((sub + 1) << (bucket + self.unit)) - 1

    def middle_of(self, index: int) -> int:
        """The value used for bucket `index` in a mean."""
        bucket = max(0, (index >> self.half_bits) - 1)
        width = 1 << (bucket + self.unit)
        return self.highest_of(index) + 1 - width + (width >> 1)

    @property
    def highest(self) -> int:
        """The highest value, exact if the log contains it; 0 when empty."""
        if not self.counts:
            return 0
        return self.highest_of(max(self.counts)) if self.exact_highest is None else self.exact_highest

    def say_highest(self, value: float) -> None:
        """Takes the highest value from the log, provided that it is in the highest bucket with counts."""
        top = max(self.counts, default=None)
        if top is not None and value == int(value) and (self.highest_of(top - 1) if top else -1) < value <= self.highest_of(top):
            self.exact_highest = int(value)

    def merge(self, other: "Histogram") -> None:
        if (self.unit, self.half_bits) != (other.unit, other.half_bits):
            raise ValueError("histograms of different buckets")
        if not self.counts:
            self.exact_highest = other.exact_highest
        elif other.counts:
            ours, theirs = self.exact_highest, other.exact_highest
            self.exact_highest = None if ours is None or theirs is None else max(ours, theirs)
        counts, so_far = self.counts, self.counts.get
        for index, count in other.counts.items():
            counts[index] = so_far(index, 0) + count

    def percentile(self, percent: float) -> int:
        """The value of the rank of this percentile; 0 when empty. It is at most the highest value, as in base/hist.c, so that it equals the
        generator's figure."""
        wanted, seen = percentile_rank(self.count, percent), 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= wanted:
                return min(self.highest_of(index), self.highest)
        return 0

    def known_percentile(self, percent: float) -> int | None:
        """None with too few samples for the percentile (base/hist.h), as the value would then be the maximum."""
        return self.percentile(percent) if self.count >= percentile_takes(percent) else None

    def mean(self) -> float:
        """Uses the middle of each bucket, as the reference implementation does (hdr_mean)."""
        total = sum(count * self.middle_of(index) for index, count in self.counts.items())
        return total / self.count if self.counts else 0.0

    def steps(self) -> list[tuple[int, int]]:
        """(value, count at or below it) for each bucket with counts."""
        seen = 0
        found: list[tuple[int, int]] = []
        for index in sorted(self.counts):
            seen += self.counts[index]
            found.append((self.highest_of(index), seen))
        return found


def percentile_rank(count: int, percent: float) -> int:
    """Of so many sorted samples the one that is the percentile, 1 and up: as hist_percentile_rank of base/hist.h."""
    return min(count, max(1, int(percent / 100 * count + 0.5)))


def percentile_takes(percent: float) -> int:
    """Samples that a percentile needs: 2 for the median, 100 for 99, 1000 for 99.9."""
    return math.ceil(100 / (100 - percent) - 1e-6) if percent < 100 else 1


@dataclass
class Interval:
    tag: str
    start_s: float
    length_s: float
    histogram: Histogram


def _counts(payload: bytes) -> dict[int, int]:
    """The counts of the buckets that are not empty, from ZigZag LEB128: seven bits a byte, at most nine bytes, all eight bits of
    the ninth. One loop over the bytes, because a record has millions of them."""
    counts: dict[int, int] = {}
    index = value = shift = 0
    for byte in payload:
        if byte & 0x80 and shift < 56:
            value |= (byte & 0x7F) << shift
            shift += 7
            continue
        value |= byte << shift
        if value & 1:       # negative: a run of empty buckets
            index += (value + 1) >> 1
        else:
            if value:
                counts[index] = value >> 1
            index += 1
        if index > MAX_COUNTS:
            raise ValueError("has more buckets than any histogram")
        value = shift = 0
    if shift:
        raise ValueError("the counts are cut off")
    return counts


def decode(text: str) -> Histogram:
    """Decodes one histogram from base64; ValueError when it is broken."""
    try:
        data = base64.b64decode(text, validate=True)
        cookie, length = struct.unpack_from(">iI", data)
        if cookie & ~0xF0 != COMPRESSED_COOKIE:
            raise ValueError(f"the cookie {cookie:#x} is not that of a compressed V2 histogram")
        inflater = zlib.decompressobj()
        plain = inflater.decompress(data[8:8 + length], MAX_PLAIN)
        if inflater.unconsumed_tail:
            raise ValueError(f"is larger than {MAX_PLAIN} bytes")
        if not inflater.eof:
            raise ValueError("is cut off")
        cookie, size, _, digits, lowest, _, _ = struct.unpack_from(">iiiiqqd", plain)
        if cookie & ~0xF0 != PLAIN_COOKIE:
            raise ValueError(f"the inner cookie {cookie:#x} is not that of a V2 histogram")
        if len(plain) < 40 + size:
            raise ValueError("holds fewer counts than it says")
        histogram = Histogram(lowest, digits)
        histogram.counts = _counts(plain[40:40 + size])
    except (binascii.Error, struct.error, zlib.error) as error:
        raise ValueError(str(error)) from error
    return histogram


def finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no number for it")
    return value


def read(path: Path | str) -> list[Interval]:
    """All intervals of a log, in order. An incomplete last line is left out, as a killed run leaves one."""
    try:
        text = open(path, encoding="utf-8", errors="strict").read()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(path, "", f"cannot be read: {error}") from error
    found: list[Interval] = []
    buckets: dict[str, tuple[int, int]] = {}
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line or line.startswith(("#", '"')):
            continue
        try:
            tag, rest = line.split(",", 1) if line.startswith("Tag=") else ("", line)
            start, length, highest, encoded = rest.split(",")
            histogram = decode(encoded)
            if buckets.setdefault(tag, (histogram.unit, histogram.half_bits)) != (histogram.unit, histogram.half_bits):
                raise ValueError("has other buckets than the lines of its tag before it")
            histogram.say_highest(finite(highest))
            found.append(Interval(tag.removeprefix("Tag="), finite(start), finite(length), histogram))
        except ValueError as error:
            if number == len(lines):
                break
            raise RecordError(path, f"line {number}", str(error)) from error
    return found


def by_tag(intervals: Iterable[Interval]) -> dict[str, Histogram]:
    """The sum of all intervals of each tag."""
    totals: dict[str, Histogram] = {}
    for interval in intervals:
        if interval.tag not in totals:
            totals[interval.tag] = Histogram(interval.histogram.lowest, interval.histogram.digits)
        totals[interval.tag].merge(interval.histogram)
    return totals


def figures(path: Path, of_any_number: bool = False) -> dict[str, float | None]:
    """connect.p50 ... of every tag of a log, and schedule.lag_*. A percentile of too few samples is None. `of_any_number` gives
    those too, as in older records."""
    found: dict[str, float | None] = {}

    def known(value: float | None, most: float | None) -> float | None:
        return None if most is None or most >= HIGHEST_NS else value

    def percentile(total: Histogram, percent: float) -> float | None:
        value = total.percentile(percent) if of_any_number else total.known_percentile(percent)
        return known(value, value)

    for tag, total in by_tag(read(path)).items():
        if not total.count:
            continue
        if tag == "lag":
            found |= {"schedule.lag_p99": percentile(total, 99.0), "schedule.lag_max": known(total.highest, total.highest)}
            continue
        found |= {f"{tag}.{name}": percentile(total, percent) for name, percent in PERCENTILES.items()}
        found |= {f"{tag}.max": known(total.highest, total.highest), f"{tag}.mean": known(total.mean(), total.highest),
                  f"{tag}.count": total.count}
    return found
