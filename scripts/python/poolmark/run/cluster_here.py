# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark cluster on this machine alone: calls on hosts of network namespaces, the rehearsal, the forecast."""
import argparse
import contextlib
import math
import shlex
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from poolmark.base.errors import PoolmarkError, RecordError, UsageError
from poolmark.base.options import count, make_parser, span
from poolmark.base.paths import CALLED, RUNS, for_people
from poolmark.base.table import markdown_table, markdown_text
from poolmark.base.units import plural, show_count
from poolmark.cluster import growth, mpirun, namespaces, rehearsal, slurm, slurm_here
from poolmark.cluster.asked import MPIRUN, SLURM, Asked
from poolmark.cluster.calls import Call
from poolmark.cluster.stage import Stage
from poolmark.facts import allowance, host
from poolmark.facts.children import Children
from poolmark.facts.plan import make_plan
from poolmark.records import summary
from poolmark.records.read_record import load
from poolmark.records.record import new_id
from poolmark.run.suite import say

END_S = 7200.0      # of a call: only what hangs reaches it
SHAPE, STRATEGY = "lean", "expand"      # of the broker, where a suite says nothing else
BROKER_OPTIONS = ("--pool", STRATEGY, "--shape", SHAPE)


def check_options(args: argparse.Namespace) -> None:
    for option in ("hosts", "hostfile", "target", "ranks", "cores", "memory", "partition", "image", "claim"):
        if getattr(args, option):
            raise UsageError(f"--{option}: with --namespaces the hosts, their ranks and their broker are made here")
    of_calls = not args.call or args.call[0] != rehearsal.NAME
    if args.launcher != MPIRUN and not (args.launcher == SLURM and of_calls):
        raise UsageError(f"--launcher {args.launcher}: on hosts of namespaces mpirun starts the ranks, or of a scenario and a suite --launcher slurm")


def need_stage(build: Path, launcher: str = MPIRUN) -> str:
    """The MPI generator's path. UsageError where a program is missing, or hosts cannot be made."""
    if reason := namespaces.why_not():
        raise UsageError(f"--namespaces: {reason}")
    if reason := slurm_here.why_not() if launcher == SLURM else None:
        raise UsageError(f"--launcher slurm: {reason}; nothing was installed")
    return mpirun.need_programs(build)


def folder_of(args: argparse.Namespace) -> Path:
    folder = Path(args.out) if args.out else RUNS / new_id("load")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"--out {folder}: is not empty; a run's folder holds that run and nothing else")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be made: {error.strerror}") from error
    return folder.resolve()


def has_room(name: str, engine: str, clients: int, ranks: int, build: Path) -> bool:
    """Says whether this machine holds both ends of all connections, as `host` does."""
    plan = make_plan(clients, engine, host.descriptor_limit(), allowance.cores(), build=build)
    say(f"{name}: {show_count(clients)} {engine} clients over {ranks} hosts, {show_count(math.ceil(clients / ranks))} each; this machine holds both ends")
    checks = host.check_host(plan, SHAPE, STRATEGY)
    for check in checks:
        if check.fits is False:
            say(f"{check.what}: {host.amount(check.found, check.unit)}, and {host.amount(check.needed, check.unit)} are needed. Mend it: {check.mend}")
    return host.verdict(checks) is not False


def write_page(path: Path, title: str, how: str, tables: Sequence[tuple[list[str], list[list[str]], str]], first: Path) -> None:
    """What was measured, as Markdown beside its records. `first`: a record of the run, for the host and the build."""
    lines = [f"# {markdown_text(title)}", "", markdown_text(how), ""]
    for table in tables:
        lines += [markdown_table(*table), ""]
    with contextlib.suppress(RecordError):
        lines += [markdown_text(summary.made_by(load(first).data)), ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def play_calls(stage: Stage, calls: Sequence[Call], broker: Sequence[str]) -> int:
    worst = 0
    say(stage.hosts.words())
    stage.start_brokers(max(call.clients for call in calls), calls[0].engine, broker or BROKER_OPTIONS)
    for call in calls:
        name = call.name.replace("/", "-")
        say(f"{name}: {shlex.join(stage.words(call, stage.folder / name))}")
        child = stage.start(call, name)
        stage.await_start(child, name)
        stage.children.wait(child, END_S)
        code = stage.children.stop(child, signal.SIGINT, mpirun.CLOSING_S)
        mpirun.wait_for_record(stage.folder / name)
        print(child.log.read_text(encoding="utf-8", errors="replace"), end="")
        worst = max(worst, 0 if code == 0 else 1)
    return worst


def play_by_slurm(stage: Stage, calls: Sequence[Call], broker: Sequence[str], args: argparse.Namespace) -> int:
    """The job script of the calls, by sbatch of a Slurm that is made of these hosts and ends with this."""
    say(stage.hosts.words())
    stage.start_brokers(max(call.clients for call in calls), calls[0].engine, broker or BROKER_OPTIONS)
    watched = tuple(word for child in stage.brokers for word in ("--watch-pid", str(child.pid)))
    asked = Asked(launcher=SLURM, ranks=stage.ranks, cores=1, memory_bytes=(slurm_here.memory_mib() << 20) // (stage.ranks + 1), seconds=args.time,
                  targets=(",".join(stage.urls),), share=args.share, out=str(stage.folder / "run"), name=args.name, program=stage.program)
    text = slurm.script([replace(call, words=(*call.words, *watched)) for call in calls], asked)
    (stage.folder / "slurm").mkdir()
    with slurm_here.Slurm(stage.children, stage.hosts, [stage.host_of(rank) for rank in range(stage.ranks)], stage.folder / "slurm") as daemons:
        said = daemons.call("sinfo", "-N", "-h", "-o", "%N %T %c").stdout.split("\n")
        say(f"{daemons.version()}: {', '.join(line for line in said if line)} processors")
        checked = daemons.validate(text, stage.folder)
        say(f"sbatch --test-only: exit code {checked.returncode}: {checked.stderr.strip()}")
        code = 1 if checked.returncode else daemons.submit(text, stage.folder, stage.folder / "sbatch.log", END_S)
        print((stage.folder / "sbatch.log").read_text(encoding="utf-8") if not checked.returncode else "", end="")
    for path in sorted(stage.folder.glob(f"{args.name}-*.log")):
        print(path.read_text(encoding="utf-8", errors="replace"), end="")
    return 0 if code == 0 else 1


@contextlib.contextmanager
def the_stage(args: argparse.Namespace, ranks: int, build: Path, fits: bool) -> Iterator[tuple[Stage, Path]]:
    """The hosts, and the folder of what is played on them. PoolmarkError when they have no room, with nothing started."""
    program = need_stage(build, args.launcher)
    if not fits:
        raise PoolmarkError("this machine does not hold it; nothing was started")
    folder = folder_of(args)
    with Children() as children, Stage(children, ranks, build, folder, program, args.delay, args.loss) as stage:
        yield stage, folder


def on_namespaces(args: argparse.Namespace, calls: Sequence[Call], broker: Sequence[str], build: Path) -> int:
    """Plays the calls on hosts that are made for it."""
    check_options(args)
    largest = max(calls, key=lambda call: call.clients)
    fits = has_room(largest.name, largest.engine, largest.clients, args.namespaces, build)
    if not args.run:
        say(f"{args.namespaces} hosts and one for the broker; --run makes them and plays {', '.join(call.name for call in calls)}")
        return 0 if fits else 1
    with the_stage(args, args.namespaces, build, fits) as (stage, folder):
        worst = play_by_slurm(stage, calls, broker, args) if args.launcher == SLURM else play_calls(stage, calls, broker)
    say(f"{'complete' if worst == 0 else 'NOT complete'}: {for_people(folder)}")
    return worst


def size_of(words: Sequence[str], ranks: int | None) -> rehearsal.Size:
    parser = make_parser(prog="poolmark cluster rehearsal", description="what a run on several hosts promises, on hosts of network namespaces")
    parser.add_argument("--raw", type=count(2, 1_000_000), default=100_000, metavar="N", help="connections a host by engine raw (100k)")
    parser.add_argument("--paho", type=count(0, 1_000_000), default=10_000, metavar="N", help="the same by engine paho; 0: none (10k)")
    parser.add_argument("--pairs", type=count(1, 100_000), default=100, metavar="N", help="of these that publish, a host; a pair is two connections (100)")
    parser.add_argument("--rate", type=count(1, 10**9), default=2000, metavar="N", help="messages a second, all together (2000)")
    parser.add_argument("--for", dest="seconds", type=span(1, 3600), default=20.0, metavar="D", help="how long each publishes (20s)")
    given = parser.parse_args(list(words))
    if ranks is None or ranks < 2:
        raise UsageError("a rehearsal takes two hosts or more: --namespaces 4")
    for option, each, instead in (("raw", given.raw, ""), ("paho", given.paho, ", or --paho 0 for none by engine paho")):
        if 0 < each < 2 * given.pairs:
            fewer = f"give --pairs {each // 2}, or " if each > 1 else "give "
            raise UsageError(f"--{option} {each}: {plural(given.pairs, 'pair')} a host {'publishes' if given.pairs == 1 else 'publish'} (--pairs {given.pairs}), "
                             f"and a pair is two connections: {fewer}--{option} {2 * given.pairs} or more{instead}")
    return rehearsal.Size(ranks, given.raw, given.paho, given.pairs, given.rate, given.seconds)


def rehearse(args: argparse.Namespace, build: Path) -> int:
    size = size_of(args.call[1:], args.namespaces)
    check_options(args)
    cases = rehearsal.cases(size)
    fits = all([has_room(case.name, case.engine, case.clients, size.ranks, build)
                for case in {case.engine: case for case in cases if not case.fault}.values()])
    if not args.run:
        for case in cases:
            print(f"{case.name}: {shlex.join(case.words)}: {case.promise()}")
        return 0 if fits else 1
    with the_stage(args, size.ranks, build, fits) as (stage, folder):
        links = stage.hosts.words()
        say(links)
        verdicts = [rehearsal.play(stage, case, size, BROKER_OPTIONS, say) for case in cases]
    print(rehearsal.table(verdicts))
    write_page(folder / "rehearsal.md", f"Rehearsal of {size.ranks} hosts", f"{links}. Each case has its record, in a folder of its name.",
               [rehearsal.table_parts(verdicts)], folder / cases[0].name)
    say(f"{for_people(folder)}: rehearsal.md, and a record a case")
    return 0 if all(not one.wrong for one in verdicts) else 1


def forecast(args: argparse.Namespace, build: Path) -> int:
    parser = make_parser(prog="poolmark cluster forecast", description="start-up, merge and traffic of rank 0 by the number of ranks")
    parser.add_argument("--most", type=count(8, 256), default=64, metavar="N", help="ranks of the largest run (64)")
    parser.add_argument("--clients", type=count(2, 10_000), default=20, metavar="N", help="of a rank (20)")
    parser.add_argument("--to", type=count(2, 10_000), default=100, metavar="N", help="hosts to forecast (100)")
    parser.add_argument("--repetitions", type=count(1, 100), default=3, metavar="N", help="runs of each number of ranks, in turn (3)")
    given = parser.parse_args(args.call[1:])
    steps = growth.steps_to(given.most)
    if not args.run:
        print(f"{CALLED} cluster --run forecast measures {', '.join(map(str, steps))} ranks of {given.clients} clients on this machine, "
              f"{given.repetitions} times, and forecasts {given.to} hosts")
        return 0
    program, folder = mpirun.need_programs(build), folder_of(args)
    points = growth.measure(steps, given.repetitions, given.clients, build, folder, program, say)
    print(growth.text(points, given.to))
    write_page(folder / "forecast.md", f"What grows with the number of ranks, and a forecast for {given.to} hosts",
               f"Ranks of {given.clients} clients each, on one machine; medians, and the least and the most of the runs. A line goes through all runs "
               "of a figure. It was also fitted without those of the most ranks, which it then had to forecast: so far it was off. "
               "forecast.csv has each run and the checksum of its record, which is in a folder of its name; those with -tcp are of the traffic.",
               growth.tables(points, given.to), folder / f"ranks-{steps[0]}.1")
    (folder / "forecast.csv").write_text(growth.csv(points), encoding="utf-8")
    say(f"{for_people(folder)}: forecast.md, forecast.csv, and a record a run")
    return 0 if len(points) == len(steps) * given.repetitions else 1
