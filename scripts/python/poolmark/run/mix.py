# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark mix: plays a mix of client groups and phases against a broker, from a TOML file.

The file is checked as a whole; then this process becomes the load generator, which gets the plain form of the file through a
descriptor. Signals, output and exit code are those of poolmark-loadgen.
"""
import argparse
import os
import sys
from typing import NoReturn

from pathlib import Path

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.options import count
from poolmark.base.paths import choose_build, for_people
from poolmark.suites import mix_file, mix_told
from poolmark.suites.targets import option_words


def option(text: str) -> tuple[str, str | bool]:
    name, joint, value = text.partition("=")
    if not joint or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not OPTION=VALUE")
    return name, {"true": True, "false": False}.get(value, value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.toml", help=f"groups and phases (docs/mix.md); or one of: {', '.join(mix_file.names())}")
    parser.add_argument("--target", metavar="URI", action="append", help="a broker, mqtt://HOST[:PORT]; several times")
    parser.add_argument("--engine", metavar="NAME", help="what drives the clients: paho (by default) or raw")
    parser.add_argument("--watch-pid", metavar="PID", action="append", help="a process of the target: its memory is sampled; several times")
    parser.add_argument("--record", metavar="DIR", help="write run.json, latency.hlog, memory.csv there")
    parser.add_argument("--seed", metavar="N", type=count(0, 10**15), help="of all randomness (1)")
    parser.add_argument("--set", metavar="OPTION=VALUE", action="append", default=[], type=option,
                        help="a further option of poolmark-loadgen mix, such as timeout=30s, or spread-pairs=true; several times")
    parser.add_argument("--json", action="store_true", help="an object a second on stdout instead of the summary")
    parser.add_argument("--all", action="store_true", help="after the summary every figure by its name")
    parser.add_argument("--quiet", action="store_true", help="no progress, no summary")
    parser.add_argument("--dry-run", action="store_true", help="check the file and print the plan in plain words; nothing is started")
    parser.add_argument("--plain", action="store_true", help="check the file and print the form that poolmark-loadgen mix reads")
    parser.add_argument("--build", metavar="DIR", help="where the programs are ($POOLMARK_BUILD, build)")


def words_of(args: argparse.Namespace) -> list[str]:
    """Options that a description may have too."""
    return option_words({"engine": args.engine, "seed": args.seed} | dict(args.set))


def become(program: Path, words: list[str], plain: str) -> NoReturn:
    """Replaces this process. The descriptor of the plain form stays open, and nobody has to remove a file."""
    file = os.memfd_create("mix", 0)
    os.write(file, plain.encode("utf-8"))
    os.lseek(file, 0, os.SEEK_SET)
    os.set_inheritable(file, True)
    mix_file.remove_files()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(program, [str(program), "mix", "--mix", f"/proc/self/fd/{file}", *words])
    except OSError as error:
        raise PoolmarkError(f"{for_people(program)}: cannot be started: {error.strerror}") from error


def run(args: argparse.Namespace) -> int:
    build = choose_build(args.build)
    mix = mix_file.load(args.file, build, words_of(args))
    if args.plain:
        print(mix.text(), end="")
        return 0
    if args.dry_run:
        print("\n".join(mix_told.lines(mix)))
        return 0
    if not args.target:
        raise UsageError("no --target: give at least one, as mqtt://127.0.0.1:1883")
    words = option_words({"target": args.target, "watch-pid": args.watch_pid, "record": args.record, "json": args.json, "all": args.all,
                          "quiet": args.quiet})
    become(build / mix_file.LOADGEN, [*words, *words_of(args)], mix.text())
