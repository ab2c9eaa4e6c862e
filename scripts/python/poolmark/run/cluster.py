# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark cluster: one run of the load generator on several hosts, as an mpirun line, an sbatch script or a Kubernetes job.

    scripts/poolmark cluster --hosts a,b,c --target mqtt://broker:1883 connect --connections 1M
    scripts/poolmark cluster --launcher slurm --ranks 8 --cores 4 --memory 16GiB --target mqtt://broker:1883 suite idle --only slab
    scripts/poolmark cluster --namespaces 4 --run rehearsal
    scripts/poolmark cluster --namespaces 4 --launcher slurm --run connect --connections 4k

It says in plain words whether each host holds its share, and prints what would start the run; --run starts it. Exit 0: printed, or every
call was complete; 1: a host does not hold its share, or a call was not complete, or --check: a table differs; 2: wrong call.
"""
import argparse
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.options import MOST_CONNECTIONS, count, make_parser, size, span
from poolmark.base.paths import ROOT, RUNS, choose_build, for_people, need_checkout
from poolmark.cluster import asked as asking
from poolmark.cluster import calls as calling
from poolmark.cluster import document, kubernetes, mpirun, rehearsal, room, slurm
from poolmark.cluster.asked import KUBERNETES, MPIRUN, SLURM, Asked
from poolmark.cluster.calls import Call
from poolmark.facts.children import Interrupted
from poolmark.records.record import new_id
from poolmark.run import cluster_here
from poolmark.run.suite import say
from poolmark.suites.suite_check import MOST_RANKS

MOST_CORES, MOST_MEMORY, LEAST_MEMORY = 4096, 1 << 46, 64 << 20
SUITE, REHEARSAL, FORECAST = "suite", rehearsal.NAME, "forecast"


def percent(text: str) -> float:
    """A share of packets: 0.1 or 0.1%."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 50:
        raise argparse.ArgumentTypeError(f"{text!r} is no share of packets; it may be 0 to 50 %")
    return value / 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("call", nargs=argparse.REMAINDER, metavar="CALL",
                        help=f"last: a scenario of poolmark-loadgen with its options; or {SUITE} NAME; or {REHEARSAL}: all that a cluster promises, "
                             f"on hosts of network namespaces; or {FORECAST}: start-up, merge and traffic by the number of ranks")
    parser.add_argument("--launcher", choices=asking.LAUNCHERS, default=MPIRUN, help="what starts the ranks (mpirun)")
    parser.add_argument("--run", action="store_true", help="start it, instead of printing what would")
    parser.add_argument("--ranks", type=count(1, MOST_RANKS), metavar="N", help="how many; of Slurm nodes or Kubernetes pods: one each")
    parser.add_argument("--hosts", metavar="A,B:2", help="by mpirun: their names or IPv4 addresses, and how many ranks each takes (1)")
    parser.add_argument("--hostfile", metavar="FILE", help="the same as a file of OpenMPI's: NAME slots=N")
    parser.add_argument("--target", metavar="URI", action="append", default=[], help="a broker, mqtt://HOST[:PORT]; several times, or with commas")
    parser.add_argument("--cores", type=count(1, MOST_CORES), metavar="N", help="processors of a host (as this machine)")
    parser.add_argument("--memory", type=size(LEAST_MEMORY, MOST_MEMORY), metavar="SIZE", help="memory of a host for its ranks (as this machine)")
    parser.add_argument("--descriptors", type=count(1000, 1 << 30), metavar="N", help="descriptors that a process may have there (as here)")
    parser.add_argument("--time", type=span(60, asking.LONGEST_S), default=3600.0, metavar="D", help="limit of the whole job: 30m, 4h (1h)")
    parser.add_argument("--share", choices=asking.SHARES, default="even", help="clients of a rank: even, or as many as its host fits (even)")
    parser.add_argument("--out", metavar="DIR", help="the folder of the record (results/runs/ID)")
    parser.add_argument("--name", default="poolmark", metavar="NAME", help="of the job (poolmark)")
    parser.add_argument("--program", metavar="PATH", help="the generator on the hosts (the built poolmark-loadgen-mpi)")
    parser.add_argument("--partition", metavar="NAME", help="Slurm's")
    parser.add_argument("--image", metavar="NAME", help="Kubernetes': has poolmark-loadgen-mpi, mpirun, ssh and sshd")
    parser.add_argument("--claim", metavar="NAME", help="Kubernetes': a PersistentVolumeClaim for the record; without it the log has run.json")
    parser.add_argument("--namespaces", type=count(1, 64), metavar="N",
                        help="make N hosts of network namespaces on this machine, and one for the broker; takes root")
    parser.add_argument("--delay", type=span(0, 1), default=0.0, metavar="D", help="of each link of these, one way (0)")
    parser.add_argument("--loss", type=percent, default=0.0, metavar="P%", help="of packets on each link of these (0)")
    parser.add_argument("--write", action="store_true", help=f"alone: renew the table of {document.DOCUMENT} from results/reference/")
    parser.add_argument("--check", action="store_true", help="alone: exit 1 where that table differs")
    parser.add_argument("--build", metavar="DIR", help="where the programs are ($POOLMARK_BUILD, build)")


# --- what is asked


def asked_of(args: argparse.Namespace, build: Path) -> Asked:
    if args.hosts and args.hostfile:
        raise UsageError("--hosts and --hostfile: one of them")
    hosts = asking.parse_hosts(args.hosts) if args.hosts else asking.read_hostfile(Path(args.hostfile)) if args.hostfile else ()
    program = calling.mpi_program(build, args.program) if args.launcher != KUBERNETES else args.program or calling.MPI
    asked = Asked(
        launcher=args.launcher, ranks=asking.ranks_of(args.ranks, hosts), hosts=hosts, hostfile=Path(args.hostfile) if args.hostfile else None,
        cores=args.cores, memory_bytes=args.memory, descriptors=args.descriptors, seconds=args.time, targets=tuple(args.target), share=args.share,
        out=args.out or (new_id("load") if args.launcher == KUBERNETES else str(RUNS / new_id("load"))), name=args.name, program=program,
        partition=args.partition, image=args.image, claim=args.claim)
    asking.check(asked)
    return asked


def suite_arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(prog="poolmark cluster suite", description="the calls of a suite's cells, one after the other")
    parser.add_argument("suite", metavar="NAME|FILE.toml")
    parser.add_argument("--only", metavar="RE", help="only cells whose name the regular expression finds")
    parser.add_argument("--connections", type=count(1, MOST_CONNECTIONS), metavar="N", help="instead of the suite's own")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="instead of the suite's own; several times")
    return parser.parse_args(list(words))


def calls_of(words: Sequence[str], build: Path) -> tuple[list[Call], list[str]]:
    """(the calls, options of the broker that they want)."""
    if not words:
        raise UsageError(f"what is to be played? last comes a scenario with its options, or {SUITE} NAME, {REHEARSAL}, {FORECAST}")
    if words[0].startswith("-"):
        raise UsageError(f"{words[0]!r}: a scenario, or {SUITE} NAME, comes first, and then its options")
    if words[0] == SUITE:
        args = suite_arguments(words[1:])
        return calling.of_suite(args.suite, build, args.only, args.connections, args.set)
    return calling.of_scenario(words, build), []


# --- room, and what would start it


def has_room(calls: Sequence[Call], asked: Asked, build: Path) -> bool:
    """Says whether the hosts hold each call; of calls that divide the same clients in the same way the first alone."""
    fits, told = True, set[tuple[str, int, int, int]]()
    for call in calls:
        division = (call.engine, call.clients, call.workers, call.clients_per_worker)
        if division in told:
            continue
        told.add(division)
        found = room.room_of(call, asked, build)
        fits = fits and not found.missing()
        for line in found.lines():
            say(line)
    return fits


def texts(calls: Sequence[Call], asked: Asked, note: str) -> str:
    if asked.launcher == SLURM:
        return slurm.script(calls, asked, note)
    if asked.launcher == KUBERNETES:
        return kubernetes.manifest(calls, asked, note)
    lines = [shlex.join(mpirun.command(mpirun.program_words(call, asked, len(calls) > 1), asked)) for call in calls]
    return "\n".join([*(f"# {line}" for line in note.splitlines()), *lines, ""])


def note_of(broker: Sequence[str]) -> str:
    return f"the broker that the suite wants: poolmark-broker --listen ADDRESS:1883 {shlex.join(broker)}" if broker else ""


# --- starting it


def play(words: Sequence[str]) -> tuple[int, int | None]:
    """Runs a program to its end, with our streams; SIGINT, SIGTERM and SIGHUP reach it as SIGINT, once. (Its exit code, the signal that came
    to us)."""
    came: list[int] = []
    try:
        process = subprocess.Popen(words, start_new_session=True)
    except OSError as error:
        raise PoolmarkError(f"{words[0]}: cannot be started: {error.strerror}") from error

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if not came:
            process.send_signal(signal.SIGINT)
        came.append(number)

    old = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        code = process.wait()
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    return code, came[0] if came else None


def submit(text: str, words: Sequence[str], package: str) -> int:
    """Gives the text to a launcher's own command; what that says is printed."""
    if not shutil.which(words[0]):
        raise UsageError(f"{words[0]} is not installed: {package} brings it; without --run the text is printed")
    done = subprocess.run(words, input=text, text=True)
    return 0 if done.returncode == 0 else 1


def start(calls: Sequence[Call], asked: Asked, note: str) -> int:
    if asked.launcher == SLURM:
        return submit(texts(calls, asked, note), ["sbatch"], "Debian's slurm-client")
    if asked.launcher == KUBERNETES:
        return submit(texts(calls, asked, note), ["kubectl", "create", "-f", "-"], "Debian's kubernetes-client")
    mpirun.need()
    worst, several = 0, len(calls) > 1
    for call in calls:
        code, interrupted = play(mpirun.command(mpirun.program_words(call, asked, several), asked))
        mpirun.wait_for_record(Path(mpirun.record_folder(call, asked, several)))
        if interrupted:
            return 128 + interrupted
        worst = max(worst, 2 if code == 2 else min(abs(code), 1))
    say(f"{'complete' if worst == 0 else 'NOT complete'}: {for_people(Path(asked.out))}")
    return worst


def run(args: argparse.Namespace) -> int:
    if args.write or args.check:
        if args.call or args.write and args.check:
            raise UsageError("--write and --check stand alone: they start nothing")
        need_checkout("cluster --write")
        return document.renew(ROOT, args.write)
    build = choose_build(args.build)
    word = args.call[0] if args.call else ""
    try:
        if word == REHEARSAL:
            return cluster_here.rehearse(args, build)
        if word == FORECAST:
            return cluster_here.forecast(args, build)
        if args.namespaces is not None:
            return cluster_here.on_namespaces(args, *calls_of(args.call, build), build)
    except Interrupted as interrupted:
        say(str(interrupted))
        return 128 + interrupted.number
    if args.delay or args.loss:
        raise UsageError("--delay and --loss are for links that are made: --namespaces N")
    calls, broker = calls_of(args.call, build)
    if word == SUITE:
        calling.refuse_mixes(calls)
    asked, note = asked_of(args, build), note_of(broker)
    fits = has_room(calls, asked, build)
    if not args.run:
        print(texts(calls, asked, note), end="")
        return 0 if fits else 1
    if not fits:
        raise PoolmarkError("the hosts do not hold it; nothing was started")
    return start(calls, asked, note)
