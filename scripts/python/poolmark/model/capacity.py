# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark capacity: three questions to runs.

    capacity RUN                                    what a run in steps forecasts for other sizes (forecast.py)
    capacity [RUN...] --connections 300k --rate 20k/s --p99 20ms ...
                                                    what do I need? (needs.py); without a run, by the committed ones
    capacity RUN... --check                         do forecasts hold on points that were held out? (held_out.py)

Exit 0: the model holds and every part of the question has its answer. Exit 1: a held-out point is off by more than the model allows
itself, or a part is not known; it says which run would tell. Exit 2: wrong call, or a record that cannot be used.
"""
import argparse
import json

from poolmark.base.errors import UsageError
from poolmark.base.options import MOST_CONNECTIONS, count, size
from poolmark.base.paths import CALLED, INSTALLED, ROOT, need_checkout
from poolmark.base.table import clean
from poolmark.model import asked, document, forecast, held_out, needs, needs_chart, needs_told
from poolmark.model.evidence import gather
from poolmark.model.steps import check
from poolmark.records import lineage
from poolmark.records.packed import record_in
from poolmark.records.read_record import Run, load
from poolmark.verify import reference

# The committed runs that answer a question for which no run is named: memory; CPU time of messages and p99; the law of scale.
COMMITTED = ("million", "quick", "forecast", "loads")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="*",
                        help="a run: its folder, its run.json, an id, or 'latest'. For a forecast one in steps of connections (suite million, or "
                             "poolmark-loadgen steps); for a question any, several together; none: the committed ones")
    parser.add_argument("--only", metavar="RE", help="only cells whose name the regular expression finds")
    parser.add_argument("--hold-out", type=count(1, MOST_CONNECTIONS), metavar="N", help="the step to check a forecast with (the largest)")
    parser.add_argument("--check", action="store_true",
                        help="hold each step and each rate out in turn and print how far its forecast was off (suite forecast is made for it)")
    parser.add_argument("--write", action="store_true", help=f"renew the tables of {document.DOCUMENT} from results/reference/")
    parser.add_argument("--spare", type=size(0, 1 << 50), default=256 << 20, metavar="BYTES",
                        help="left to the system and all else, of each size (256MiB)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print Markdown, for a capacity report")
    asked.add_arguments(parser)


def committed_runs() -> list[str]:
    """The folders of the committed runs. UsageError where there are none: an installation has no copy."""
    folders = [ROOT / "results" / "reference" / name for name in COMMITTED]
    found = [str(folder) for folder in folders if record_in(folder)]
    if not found:
        raise UsageError("name a run: " + ("an installation has no committed runs" if INSTALLED else "there are no committed runs here")
                         + f"; {CALLED} suite forecast makes one")
    return found


def loaded(places: list[str]) -> list[Run]:
    """The runs, each once, checked. UsageError for one that was edited."""
    runs: dict[str, Run] = {}
    for place in places:
        one = load(place)
        if one.id not in runs:
            check(one)
            runs[one.id] = one
    if told := lineage.counted_twice([one.data for one in runs.values()]):
        raise UsageError(f"{clean(told)}; name it once")
    return list(runs.values())


def answer(args: argparse.Namespace) -> int:
    question = asked.asked_of(args)
    runs = loaded(args.runs or committed_runs())
    facts = needs.answer(gather(runs, args.only), question, not args.runs)
    facts["paragraph"] = needs_told.paragraph(facts)
    print(json.dumps(facts, indent=1) if args.json else (needs_told.markdown if args.markdown else needs_told.text)(facts))
    if args.chart:
        needs_chart.write(facts, args.chart)
    return 0 if facts["answered"] else 1


def run(args: argparse.Namespace) -> int:
    question = asked.is_asked(args)
    if args.write:
        if question or args.check or args.hold_out or args.runs:
            raise UsageError("--write stands alone: it renews the tables of the document from the committed runs")
        need_checkout("writing documents")
        return reference.renew(document.DOCUMENT, lambda text: document.filled(text, ROOT), True, "capacity")
    if question and (args.check or args.hold_out):
        raise UsageError(f"{'--check' if args.check else '--hold-out'} belongs to a run alone, not to a question")
    if question:
        return answer(args)
    if args.check:
        if not args.runs:
            raise UsageError(f"--check: of which run? {CALLED} suite forecast makes one for it")
        return held_out.run(args, loaded(args.runs))
    if len(args.runs) != 1:
        raise UsageError("name one run to forecast from, or say what is needed: --connections 300k --rate 20k/s --p99 20ms")
    return forecast.run(args, args.runs[0])
