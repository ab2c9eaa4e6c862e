# SPDX-License-Identifier: Apache-2.0
"""How a claim is measured: a function by the claim's id, and the shared runs that it reads.

    @measures("startup-time", "starts")
    def startup_time(runs: Json, claim: Claim) -> Measured:
        return Measured([...], because="...")

`runs` has what each named source left (claims/sources): JSON values, so that a function can be tried on made ones. A function
starts nothing. PoolmarkError when the runs do not have its values: then the claim has no verdict, and the command fails.
"""
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.claims.catalogue import Claim
from poolmark.claims.work import Work

Reader = Callable[[Path], Json]
Reads = TypeVar("Reads", bound=Reader)

# How a value came about. "forecast": computed from a fit; "reference": of a committed run, not of this one; "counted": the same
# in each run; "computed": from the claim's own words or a simulation.
KINDS = ("measured", "forecast", "reference", "counted", "computed")


@dataclass(frozen=True)
class Measured:
    """`values`: one for each repetition, in the claim's unit; of a sequence `sequences` instead. `interval`: of a forecast.
    `timed`: other programs of the host would have changed it, so on a busy host it cannot disprove.
    `spread`: what counts as the repetitions' spread where that is not the lowest to the highest.
    `because`: one sentence that says why the value is what it is. `contradiction`: why the statement cannot hold by its own words.
    `floor`: share of the value below which two runs cannot be told apart; 0 for counts. `whole`: what the value is a difference
    from, where the floor is a share of that and the difference (100 for a gain in per cent). `value`: where it is not the median
    of the repetitions, as of a maximum over all of them."""

    values: tuple[float, ...] = ()
    because: str = ""
    kind: str = "measured"
    sequences: tuple[tuple[float, ...], ...] = ()
    interval: tuple[float, float] | None = None
    spread: tuple[float, float] | None = None
    contradiction: str = ""
    floor: float = 0.0
    whole: float = 0.0
    value: float | None = None
    timed: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measure:
    claim: str
    sources: tuple[str, ...]
    function: "MeasureFunction"


MeasureFunction = Callable[[Json, Claim], Measured]
_MEASURES: dict[str, Measure] = {}


def measures(claim: str, *sources: str) -> Callable[[MeasureFunction], MeasureFunction]:
    """Registers a function as the measurement of a claim."""
    def register(function: MeasureFunction) -> MeasureFunction:
        if claim in _MEASURES:
            raise ValueError(f"two functions measure {claim}")
        _MEASURES[claim] = Measure(claim, sources, function)
        return function

    return register


def _import_all(name: str) -> None:
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{name}.{module.name}")


def all_measures() -> dict[str, Measure]:
    _import_all("poolmark.claims.measures")
    return dict(_MEASURES)


@dataclass(frozen=True)
class Source:
    """A run that several claims share. `run(work)` makes it and returns JSON values; `seconds(work)` is the estimate."""

    name: str
    what: str
    seconds: Callable[[Work], float]
    run: Callable[[Work], Json]


_SOURCES: dict[str, Source] = {}


def source(name: str, what: str, seconds: Callable[[Work], float]) -> Callable[[Callable[[Work], Json]], Callable[[Work], Json]]:
    def register(function: Callable[[Work], Json]) -> Callable[[Work], Json]:
        if name in _SOURCES:
            raise ValueError(f"two runs are called {name}")
        _SOURCES[name] = Source(name, what, seconds, function)
        return function

    return register


def all_sources() -> dict[str, Source]:
    _import_all("poolmark.claims.sources")
    return dict(_SOURCES)


_READERS: dict[str, Reader] = {}


def reads(name: str) -> Callable[[Reads], Reads]:
    """Registers a function that gives a run's values again, as far as they are in its raw files: `read(folder)` returns those keys of
    the values. A run calls it too, so that both are the same."""
    def register(function: Reads) -> Reads:
        _READERS[name] = function
        return function

    return register


def all_readers() -> dict[str, Reader]:
    _import_all("poolmark.claims.sources")
    return dict(_READERS)


def unpaired(claims: Iterable[str]) -> list[str]:
    """Texts about claims without a function, functions without a claim, and functions that name an unknown run."""
    found, runs = all_measures(), all_sources()
    texts = [f"{name}: no function measures it" for name in claims if name not in found]
    texts += [f"{name}: a function measures it, and there is no such claim" for name in found if name not in claims]
    texts += [f"{name}: reads the run {one!r}, which there is not" for name, measure in found.items() for one in measure.sources
              if one not in runs]
    read = {one for measure in found.values() for one in measure.sources}
    return texts + [f"{name}: a run that no claim reads" for name in runs if name not in read]


def values_of(rows: list[Json], name: str) -> list[float]:
    """One value of each repetition. PoolmarkError when one is missing, because a claim is judged by all repetitions."""
    found = [value for row in rows if (value := row.get(name)) is not None]
    if not rows or len(found) < len(rows):
        raise PoolmarkError(f"{name}: {len(rows) - len(found)} of {len(rows)} repetitions have no value")
    return found
