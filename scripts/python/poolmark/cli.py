# SPDX-License-Identifier: Apache-2.0
"""Poolmark's command: all work before and after a measurement.

    scripts/poolmark COMMAND [OPTIONS]
    scripts/poolmark COMMAND --help

A command is one module with add_arguments(parser) and run(args) -> exit code, and one line in COMMANDS. Only the module of the
command is imported. Exit code 2 means a wrong call.
"""
import argparse
import importlib
import platform
import sys
from types import ModuleType

# name -> (module, description)
COMMANDS = {
    "suite": ("run.suite", "run a suite of cells (broker and load generator) and print its table"),
    "attack": ("attack.attack", "make one attack on a broker of one's own, round after round; suite attack measures what others feel"),
    "soak": ("run.soak", "load one broker for half an hour, clients that are killed among it: is anything left, does anything grow?"),
    "host": ("facts.host", "would this host hold N connections? what is too small, and the plan; changes nothing"),
    "capacity": ("model.capacity", "what do so many connections and messages need? memory, CPU, hosts; what a run in steps forecasts"),
    "mix": ("run.mix", "play groups of clients in phases, from a TOML file, against a broker"),
    "cluster": ("run.cluster", "the load generator on several hosts: does each hold its share? an mpirun line, an sbatch script or a "
                               "Kubernetes job; rehearsals on hosts of network namespaces"),
    "limit": ("run.limit", "the highest rate that holds a bound on latency with nothing lost, by search with repetition"),
    "bench": ("bench.bench", "run the micro-benchmarks beside the allocators and print the comparison"),
    "kernel": ("account.kernel", "kernel memory of a connection by part and by state; what options of a server save"),
    "account": ("report.user_account", "user memory of the reference broker by account, of a run or of one that runs; what has no account"),
    "claims": ("claims.claims", "measure published figures about pools again and give each a verdict"),
    "report": ("report.report", "turn runs into one self-contained page and Markdown"),
    "compare": ("compare.compare", "compare two runs and give a verdict"),
    "nightly": ("ci.nightly", "compare two builds by interleaved runs, keep the history, give a verdict"),
    "trend": ("ci.trend", "draw the history that nightly keeps"),
    "sensitivity": ("compare.sensitivity", "show what a comparison finds and what it does not raise"),
    "describe": ("facts.describe", "what the programs say of themselves, as JSON or as the tables of documents"),
    "verify": ("verify.verify", "check records: schema, checksums, and every figure and table computed again"),
    "robustness": ("report.robustness", "the tables of docs/robustness.md: what was tried, what others felt, what was lost"),
    "merge": ("run.merge", "join runs of one suite into one record"),
    "pack": ("run.pack", "compress records that are kept; every command reads them as before; --undo"),
}

# Meaning of each command's exit codes. docs/commands.md has the same table; tests/py/test_exit_codes.py compares the two and
# provokes each code. compare and nightly have theirs in compare.EXIT_CODES. COMMON_EXIT_CODES holds for all commands.
EXIT_CODES = {
    "suite": "0 every cell complete, 1 a cell failed or is incomplete or the record could not be written, 2 wrong call, "
             "129, 130 or 143 interrupted by SIGHUP, SIGINT or SIGTERM (what was measured is kept)",
    "soak": "0 every verdict holds, 1 one does not or cannot be told, 2 wrong call, 129, 130 or 143 interrupted by SIGHUP, SIGINT or "
            "SIGTERM (what was measured is kept)",
    "attack": "0 it was made until its end, 1 it could not be made, 2 wrong call",
    "robustness": "0 done, 1 a table differs (`--check`) or could not be made, 2 wrong call or a record that cannot be read",
    "account": "0 at most 1 % of PSS is not accounted for (`--check`: the tables are as the records give them), 1 more is, or it could not be "
               "read or a table differs, 2 wrong call or a record that cannot be read",
    "host": "0 it fits, 1 it does not or cannot be told, 2 wrong call",
    "capacity": "0 the model holds and answers all that was asked, 1 it does not or gives no forecast or a part is not known, 2 wrong call or a "
                "record that cannot be used",
    "limit": "0 every contender has an answer, 1 one has none or is not clear or the search ended early, 2 wrong call, 129, 130 or 143 "
             "interrupted by SIGHUP, SIGINT or SIGTERM (what was measured is kept)",
    "cluster": "0 printed, or every call was complete, 1 a host does not hold its share, or a call was not complete or not started, or a table differs (`--check`), "
               "2 wrong call, 129, 130 or 143 interrupted by SIGHUP, SIGINT or SIGTERM",
    "mix": "0 every sample is accounted for, 1 a client failed or was dropped, something was lost, not sent, at the wrong client, out of "
           "order, or came twice, at another QoS, under another topic or with another RETAIN flag against what was asked for, or the run "
           "was ended early, 2 wrong call",
    "bench": "0 every benchmark measured (`--check`: the tables are as the records give them), 1 one failed or a table differs, 2 wrong call, 129, 130 or 143 interrupted by SIGHUP, SIGINT or SIGTERM "
             "(what was measured is kept)",
    "claims": "0 every claim has a verdict, 1 one could not be measured, 2 wrong call, 129, 130 or 143 interrupted by SIGHUP, SIGINT or "
              "SIGTERM (what was measured is kept)",
    "report": "0 done; raw files that every cell left out are no fault, 1 done and a record is not as it was when its run ended, or all "
              "files of a cell are gone (`--present` allows that), or the page could not be made, 2 wrong call or a record that cannot "
              "be read",
    "verify": "0 all as it was, 1 something is not, 2 wrong call or a record that cannot be read",
}
OTHER_EXIT_CODES = "0 done, 1 it could not be done, 2 wrong call or a record that cannot be read"
COMMON_EXIT_CODES = "5 as 0, but stdout could not be written"


def exit_codes(name: str) -> str:
    if name in ("compare", "nightly"):
        from poolmark.compare import compare

        return f"{compare.EXIT_CODES.removeprefix('exit codes: ')}, {COMMON_EXIT_CODES}"
    return f"{EXIT_CODES.get(name, OTHER_EXIT_CODES)}, {COMMON_EXIT_CODES}"


def usage() -> str:
    from poolmark.base.paths import CALLED

    width = max(map(len, COMMANDS))
    lines = [f"usage: {CALLED} COMMAND [OPTIONS]", ""]
    lines += [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(lines + ["", f"{CALLED} COMMAND --help tells a command's options; --version the version."])


def parser(name: str) -> tuple[argparse.ArgumentParser, ModuleType]:
    """The argument parser of a command, and its module."""
    from poolmark.base.options import make_parser

    module_name, text = COMMANDS[name]
    module = importlib.import_module(f"poolmark.{module_name}")
    made = make_parser(prog=f"poolmark {name}", description=text)
    module.add_arguments(made)
    made.epilog = f"exit codes: {exit_codes(name)}"
    return made, module


def run_command(name: str, argv: list[str]) -> int:
    from poolmark.base.errors import PoolmarkError
    from poolmark.base.escape import lines
    from poolmark.base.paths import writable

    try:
        options, module = parser(name)
        return int(module.run(options.parse_args(argv)) or 0)
    except PoolmarkError as error:
        print(f"poolmark {name}: {lines(writable(str(error)))}", file=sys.stderr)
        return error.exit_code
    except OSError as error:    # a folder that may not be read, a full disk: what no command has a sentence of its own for
        print(f"poolmark {name}: {lines(writable(str(error.filename or 'the system')))}: {error.strerror or type(error).__name__}", file=sys.stderr)
        return 1
    except SystemExit as ended:  # argparse: --help, or a wrong call
        return int(ended.code or 0)
    except KeyboardInterrupt:
        return 130


def answer(argv: list[str]) -> int:
    if not argv:
        print(usage(), file=sys.stderr)
        return 2
    if argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        from poolmark.facts.facts import tree_commit, version

        commit, changed, _ = tree_commit()
        print(f"poolmark {version()} ({commit}{', changed' if changed else ''}, Python {platform.python_version()})")
        return 0
    if argv[0] not in COMMANDS:
        from poolmark.base.faults import nearest

        print(f"poolmark: '{argv[0]}' is not a command{nearest(argv[0], COMMANDS)}", file=sys.stderr)
        return 2
    return run_command(argv[0], argv[1:])


def main(argv: list[str] | None = None) -> int:
    from poolmark.base import output

    argv = sys.argv[1:] if argv is None else argv
    output.install()
    return output.code(argv[0] if argv else "", answer(argv))


if __name__ == "__main__":
    sys.exit(main())
