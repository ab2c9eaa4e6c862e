# SPDX-License-Identifier: Apache-2.0
"""`make install`, and every command of the installation, run by an ordinary user in an empty folder."""
import base64
import gzip
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from installed import PREFIX, ROOT, as_user, make, open_folder

VERSION = (ROOT / "VERSION").read_text().strip()
PROGRAMS = ("poolmark-broker", "poolmark-loadgen", "poolmark-bench", "poolmark-hot")


class Place:
    """An installation, and a working folder for a user."""

    def __init__(self, folder: Path):
        self.root, self.home = folder / "installed", open_folder(folder / "home")

    @property
    def bin(self) -> Path:
        return self.root / PREFIX[1:] / "bin"

    @property
    def share(self) -> Path:
        return self.root / PREFIX[1:] / "share"

    def poolmark(self, *words):
        return as_user(self.bin / "poolmark", *words, cwd=self.home)

    def runs(self) -> list[str]:
        return sorted(path.name for path in (self.home / "results" / "runs").iterdir())

    def files(self) -> set[Path]:
        return {path for path in self.root.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def place():
    folder = Path(tempfile.mkdtemp(prefix="poolmark-install-"))
    folder.chmod(0o755)
    try:
        made = Place(folder)
        done = make("install", made.root)
        assert done.returncode == 0, done.stderr
        yield made
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def suite(place):
    """A short run of the quick suite."""
    done = place.poolmark("suite", "quick", "--only", "slab", "--connections", "1000", "--set", "qos0.duration=1s", "--set",
                          "qos1.duration=1s")
    assert done.returncode == 0, done.stdout + done.stderr
    return place.runs()[0]


def test_every_program_says_version_and_commit(place):
    for name in ("poolmark", *PROGRAMS):
        done = as_user(place.bin / name, "--version", cwd=place.home)
        assert re.fullmatch(rf"{name} {re.escape(VERSION)} \(([0-9a-f]{{40}}|unknown)(, changed)?, \S[^()]*(\(.*\))?[^()]*\)\n", done.stdout), done
        assert as_user(place.bin / name, "-h", cwd=place.home).returncode == 0


def test_the_suite_runs_and_leaves_its_run_in_the_current_folder(place, suite):
    record = json.loads((place.home / "results" / "runs" / suite / "run.json").read_text())
    assert record["status"] == "complete"
    told = as_user(place.bin / "poolmark-broker", "--describe", cwd=place.home).stdout
    assert record["tool"] == json.loads(told)["tool"]
    assert str(place.root) not in json.dumps([record["command"], [cell["commands"] for cell in record["cells"]]])


def test_report_compare_and_verify_read_it(place, suite):
    done = place.poolmark("report", suite)
    assert done.returncode == 0, done.stderr
    page = (place.home / "results" / "runs" / suite / "report" / "report.html").read_text()
    drawing = json.loads(gzip.decompress(base64.b64decode(re.search('id="drawing"[^>]*>([^<]*)<', page)[1])))
    assert len(drawing["libraries"]) == 3 and "vegaEmbed" in page and drawing["specs"]
    done = place.poolmark("compare", suite, suite)
    assert (done.returncode, "one and the same run" in done.stdout) == (2, True)
    done = place.poolmark("verify", "latest")
    assert (done.returncode, "good; complete" in done.stdout) == (0, True)


def test_bench_and_host_work(place):
    done = place.poolmark("bench", "--filter", "^lifo/slab/64$", "--repetitions", "2", "--out", "bench")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (place.home / "bench" / "run.json").exists()
    done = place.poolmark("host", "--connections", "1000")
    assert done.returncode in (0, 1) and "Plan for 1 000" in done.stdout


def test_two_runs_of_one_build_are_compared_and_have_a_page(place):
    """What the verdict is, the host's noise decides: an A/A comparison has no regression, or too few rounds to say so."""
    for name in ("first", "second"):
        done = place.poolmark("bench", "--filter", "^lifo/slab/64$", "--repetitions", "4", "--out", name)
        assert done.returncode == 0, done.stdout + done.stderr
    done = place.poolmark("compare", "first", "second", "--out", "verdict")
    assert done.returncode in (0, 1, 2) and "verdict:" in done.stdout and "time" in done.stdout, done.stderr
    verdict = json.loads((place.home / "verdict/verdict.json").read_text())
    assert verdict["exit_code"] == done.returncode and verdict["metrics"] and "<svg" in (place.home / "verdict/verdict.html").read_text()
    done = place.poolmark("report", "first", "second", "--out", "page")
    assert done.returncode == 0, done.stderr
    assert f"Exit code {verdict['exit_code']} of compare" in (place.home / "page/report.html").read_text()


@pytest.mark.parametrize("words, code", [
    (["compare", "HEAD~1", "HEAD", "--run", "suite quick"], 4), (["nightly"], 4), (["sensitivity"], 2), (["describe", "--check"], 2),
])
def test_what_needs_a_checkout_says_so_in_a_sentence(place, words, code):
    done = place.poolmark(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert re.fullmatch(rf"poolmark {words[0]}: .* needs a checkout of Poolmark; this is an installation\n", done.stderr)


def test_nobody_writes_into_the_installation(place, suite):
    assert not [path for path in place.files() if path.suffix == ".pyc"]


def test_the_installation_may_be_moved(place):
    other = place.root.with_name("elsewhere")
    place.root.rename(other)
    try:
        done = as_user(other / PREFIX[1:] / "bin" / "poolmark", "suite", "quick", "--dry-run", "--only", "slab", cwd=place.home)
        assert done.returncode == 0 and str(other) in done.stdout + done.stderr
    finally:
        other.rename(place.root)


# --- manual pages and completions ---


def options_of(place, program, *words) -> set[str]:
    """The options in a help text."""
    done = as_user(place.bin / program, *words, "--help", cwd=place.home)
    assert done.returncode == 0, done.stderr
    listed = re.findall(r"^ {2,10}\[?(?:-\w, )?(--\w[\w-]*)", done.stdout, re.M)
    return set(listed) | set(re.findall(r"\[(--(?:benchmark_\w+|v))=", done.stdout))


def every_option(place):
    several = [name for name in ("poolmark-loadgen-mpi",) if (place.bin / name).exists()]
    for program in (*PROGRAMS, *several):
        yield program, options_of(place, program)
    commands = re.findall(r"^  (\w+)  ", as_user(place.bin / "poolmark", "--help", cwd=place.home).stdout, re.M)
    assert len(commands) > 10
    for command in commands:
        yield "poolmark", options_of(place, "poolmark", command) | {command}


def test_every_option_is_in_the_manual_and_in_both_completions(place):
    for program, options in every_option(place):
        assert len(options) > 1
        manual = (place.share / "man" / "man1" / f"{program}.1").read_text().replace("\\-", "-")
        bash = (place.share / "bash-completion" / "completions" / program).read_text()
        zsh = (place.share / "zsh" / "site-functions" / f"_{program}").read_text()
        for option in options:
            word = re.compile(re.escape(option) + r"(?![\w-])")
            assert word.search(manual) and word.search(bash) and word.search(zsh), f"{program}: {option}"


@pytest.mark.parametrize("checker", [["mandoc", "-Tlint", "-Wall"], ["man", "--warnings", "-l"], ["groff", "-man", "-ww", "-z"]])
def test_the_manual_pages_are_clean(place, checker):
    if not shutil.which(checker[0]):
        pytest.skip(f"{checker[0]} is not installed")
    for page in (place.share / "man" / "man1").iterdir():
        done = subprocess.run([*checker, str(page)], capture_output=True, text=True, check=False,
                              env={"PATH": "/usr/bin:/bin", "MANPAGER": "cat"})
        said = done.stderr + (done.stdout if checker[0] == "mandoc" else "")
        assert (done.returncode, said) == (0, ""), page.name


def test_the_manual_has_whole_sentences_and_arguments_in_capitals(place):
    for page in (place.share / "man" / "man1").iterdir():
        text = page.read_text()
        assert not re.search(r"[?!]\.(\s|$)", text), page.name
        assert not re.search(r"^\.TP\n\\fB[a-z]", text, re.M), page.name


def completed(place, line: str, cwd=None) -> set[str]:
    """bash's completions at the end of the line."""
    words = re.findall(r"=|[^\s=]+", line) + ([""] if line.endswith((" ", "=")) else [])
    script = f"source {place.share}/bash-completion/completions/{words[0]}\n"
    script += f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}\n"
    script += f"_{words[0].replace('-', '_')}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    done = subprocess.run(["bash", "-c", script], cwd=cwd or place.home, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.parametrize("line, offers, not_others", [
    ("poolmark ", {"suite", "bench", "report", "verify"}, {"--only"}),
    ("poolmark su", {"suite"}, {"bench"}),
    ("poolmark suite ", {"quick", "million", "idle"}, {"--only"}),
    ("poolmark suite quick --", {"--only", "--connections", "--dry-run", "--help"}, {"--filter"}),
    ("poolmark suite quick --only ", set(), {"--only", "quick"}),
    ("poolmark bench --", {"--filter", "--set"}, {"--only"}),
    ("poolmark-broker --pool ", {"slab", "malloc", "fixed"}, {"--pool"}),
    ("poolmark-broker --overflow=r", {"refuse"}, {"heap"}),
    ("poolmark-broker --threads ", set(), {"--pool"}),
    ("poolmark-loadgen ", {"connect", "publish", "steps"}, set()),
    ("poolmark-loadgen connect --", {"--hold", "--target", "--engine"}, {"--payload", "--steps"}),
    ("poolmark-loadgen connect --engine ", {"paho", "raw"}, {"--engine"}),
    ("poolmark-hot ", {"spike", "grid", "outage"}, set()),
    ("poolmark-bench --bench", {"--benchmark_filter=", "--benchmark_format="}, {"--poolmark_probe"}),
    ("poolmark-bench --benchmark_format=", {"console", "json", "csv"}, {"--benchmark_filter="}),
])
def test_bash_completes(place, line, offers, not_others):
    offered = completed(place, line)
    assert offers <= offered and not not_others & offered


RUNS = {"latest", "suite-1", "suite-2", "other/"}


@pytest.mark.parametrize("line, offers, not_others", [
    ("poolmark report ", RUNS, {"mine.toml", "--out"}), ("poolmark report suite-1 ", RUNS, set()), ("poolmark report --out x su", {"suite-1"}, {"latest"}),
    ("poolmark verify late", {"latest"}, {"suite-1"}), ("poolmark compare ", RUNS, set()), ("poolmark compare latest ", RUNS, set()),
    ("poolmark compare latest suite-1 ", set(), RUNS), ("poolmark compare --allow=x suite-1 l", {"latest"}, set()),
    ("poolmark suite ./", {"./mine.toml", "./other"}, {"quick", "./text"}), ("poolmark suite ", {"quick", "mine.toml"}, {"text"}),
    ("poolmark suite --only malloc ", {"quick"}, set()), ("poolmark suite quick --only malloc ", {"--connections"}, {"quick", "million"})])
def test_bash_completes_arguments_by_their_place_and_runs_by_name(place, tmp_path, line, offers, not_others):
    for name in ("results/runs/suite-1", "results/runs/suite-2", "other"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("mine.toml", "text"):
        (tmp_path / name).touch()
    offered = completed(place, line, tmp_path)
    assert {one.rstrip("/") for one in offers} <= offered and not not_others & offered, offered


def test_zsh_completes(place):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    # The commands are replaced by functions that print their arguments, which show the completed line.
    shell = f"""
fpath=({place.share}/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D
for name in poolmark poolmark-broker poolmark-loadgen poolmark-bench; do
    functions[$name]='print -r -- "called:" $0 $@ ":end"'
done
stty cols 200; print rea""dy
"""
    (place.home / "shell.zsh").write_text(shell)
    (place.home / "mine.toml").touch()
    lines = {"poolmark su\t": "poolmark suite", "poolmark suite qu\t": "poolmark suite quick",
             "poolmark verify late\t": "poolmark verify latest", "poolmark compare x late\t": "poolmark compare x latest",
             "poolmark suite ./mi\t": "poolmark suite ./mine.toml", "poolmark suite quick qu\t": "poolmark suite quick qu",
             "poolmark bench --fil\tx": "poolmark bench --filter=x",
             "poolmark-broker --overflow r\t": "poolmark-broker --overflow refuse",
             "poolmark-bench --poolmark_tr\tx": "poolmark-bench --poolmark_trace=x",
             "poolmark-loadgen conn\t --hol\t1s": "poolmark-loadgen connect --hold=1s",
             "poolmark-broker --pool=sl\t": "poolmark-broker --pool=slab"}
    script = "zmodload zsh/zpty\nzpty shell 'PS1= TERM=dumb zsh -f -i'\n"
    script += "zpty -w shell 'source shell.zsh'\nzpty -r -m shell output '*ready*'\n"
    script += "".join(f"zpty -w shell $'{line}'\nzpty -r -m shell output '*:end*'\nprint -r -- \"$output\"\n" for line in lines)
    done = subprocess.run(["zsh", "-f", "-c", script], cwd=place.home, capture_output=True, text=True, timeout=60, check=False)
    called = [" ".join(match.split()) for match in re.findall(r"called:(.*?):end", done.stdout, re.S)]
    assert called == list(lines.values()), done.stdout + done.stderr


def test_uninstall_leaves_nothing(place):
    done = make("uninstall", place.root)
    assert done.returncode == 0, done.stderr
    assert place.files() == set()
    assert not [path for path in place.root.rglob("*") if "poolmark" in path.name]
