# SPDX-License-Identifier: Apache-2.0
"""Suite files, curves, tables and units: parts of the suite runner that need no process."""
import itertools
import os
from collections import Counter

import pytest
from poolmark.base import curves, table, units
from poolmark.facts import described
from poolmark.suites import suite_cells, suite_file, suite_options
from poolmark.base.errors import RecordError, UsageError
from poolmark.base.paths import build_dir
from poolmark.suites.targets import option_words

built = pytest.mark.skipif(not os.access(build_dir() / "poolmark-loadgen", os.X_OK), reason="the programs are not built")

HEAD = ("at_ns,phase,connections,target_rss_bytes,target_pss_bytes,target_private_bytes,target_cpu_ns,"
        "generator_pss_bytes,generator_cpu_ns,kernel_slab_bytes,kernel_tcp_bytes,kernel_page_table_bytes\n")


def write_suite(tmp_path, text):
    file = tmp_path / "x.toml"
    file.write_text(text)
    return str(file)


PHASE = '[[phase]]\nname = "connect"\nscenario = "connect"\n'


@pytest.mark.parametrize("text, complaint", [
    ("title = ", "not TOML"),
    ("wrong = 1\n" + PHASE, "'wrong' is not a key"),
    ('kind = "poem"\n' + PHASE, "kind 'poem' is not known"),
    ('drop_caches = "yes"\n' + PHASE, "drop_caches is 'yes'; it must be true or false"),
    ("repetitions = 0\n" + PHASE, "repetitions is 0; it must be at least 1"),
    ("repetitions = true\n" + PHASE, "repetitions is true; it must be a whole number"),
    ("config = 1\n" + PHASE, "config is 1; it must be a table"),
    ('[axes]\nstrategy = "malloc"\n' + PHASE, "an axis is a list of values"),
    ('[[phase]]\nname = "x"\n', "'scenario' is missing"),
    ('[[phase]]\nname = "../x"\nscenario = "connect"\n', "it must be of a-z, 0-9"),
    (PHASE + PHASE, "name 'connect' is taken"),
    ('[[group]]\nwrong = 1\n' + PHASE, "x.toml:2: 'wrong' is not a key there"),
    ("[config]\nconnections = 10\n", "nothing would be measured"),
    ("[config]\nconnections = 0\n" + PHASE, "connections is 0"),
    ('[config]\nconnections = "many"\n' + PHASE, "connections is 'many'"),
    ("[config]\nconnections = 1\n[[group]]\n[[group]]\n" + PHASE, "two cells are called"),
])
def test_a_wrong_suite_file_is_named_with_its_key(tmp_path, text, complaint):
    with pytest.raises(UsageError) as caught:
        suite_file.load(write_suite(tmp_path, text))
    assert complaint in str(caught.value)


def test_overrides_and_connection_counts_are_filled_in(tmp_path):
    text = PHASE + """
[config]
connections = 10
[axes]
strategy = ["fixed", "malloc"]
[[override]]
when = { strategy = "fixed" }
broker.initial = ["{connections}", "buffers={2*connections}", "arenas={3*connections/4}", "messages={connections/100}"]
"""
    fixed, plain = suite_file.load(write_suite(tmp_path, text)).cells
    assert fixed.broker == {"initial": ["10", "buffers=20", "arenas=7", "messages=1"]}
    assert plain.broker == {}


@built
@pytest.mark.parametrize("scenario, given, expected", [
    ("connect", {}, 70), ("churn", {}, 70), ("soak", {}, 70), ("churn", {"connections": 9}, 9), ("publish", {}, None), ("steps", {}, None),
    ("slow", {}, None)])
def test_a_phase_has_as_many_clients_as_its_cell_says(scenario, given, expected):
    """Of every scenario that has the option. With a pattern its clients are those of the pattern, whatever is held beside them."""
    options = suite_options.load_options({"engine": "raw", "connections": 70}, {}, {"name": "x", "scenario": scenario, **given})
    assert options.get("connections") == expected


@built
def test_no_scenario_with_connections_goes_without_those_of_its_cell():
    told = described.scenarios()
    assert {name for name, one in told.items() if "connections" in one["options"] and "connections" not in suite_options.load_options(
        {"engine": "raw", "connections": 70}, {}, {"name": "x", "scenario": name})} == {name for name, one in told.items() if "pattern" in one["options"]}


def test_steps_end_at_the_connections_of_the_cell():
    assert suite_cells.steps_up_to("10,100,1000", 100) == "10,100"
    assert suite_cells.steps_up_to("10,100,1000", 500) == "10,100,500"


def test_fit_is_asked_for_the_cells_that_want_it(tmp_path):
    text = PHASE + '[config]\nconnections = "fit"\nshape = "classic"\n'
    suite = suite_file.load(write_suite(tmp_path, text), fit=lambda config: 1234)
    assert suite.cells[0].config["connections"] == 1234


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9])
def test_over_all_orders_each_cell_is_everywhere_and_follows_each_other_equally_often(count):
    forwards = suite_cells.williams(count)
    assert forwards[0] == list(range(count))
    rows = forwards + [row[::-1] for row in forwards]
    at = Counter(place for row in rows for place in enumerate(row))
    pairs = Counter(pair for row in rows for pair in itertools.pairwise(row))
    assert len(at) == count * count and len(set(at.values())) == 1
    assert len(pairs) == count * (count - 1) and len(set(pairs.values())) <= 1


@pytest.mark.parametrize("in_pairs, third", [(False, "bdaec"), (True, "abcde")])
def test_a_third_repetition_has_other_neighbours_but_where_sides_are_compared(in_pairs, third):
    cells = suite_cells.interleaved([suite_cells.CellPlan(name, {}, 1) for name in "abcde"], 4, in_pairs)
    ran = "".join(cell.id[0] for cell in cells)
    assert [ran[i:i + 5] for i in range(0, 20, 5)] == ["abcde", "edcba", third, third[::-1]]
    assert [cell.id[2:] for cell in cells] == list("1" * 5 + "2" * 5 + "3" * 5 + "4" * 5)


def test_the_title_names_the_connections_of_this_run(tmp_path):
    file = write_suite(tmp_path, 'title = "Strategies: {connections} clients"\n' + PHASE + '[config]\nconnections = 10_000\n')
    assert suite_file.load(file).title == "Strategies: 10 000 clients"
    assert suite_file.load(file, connections=1000).title == "Strategies: 1 000 clients"
    assert suite_file.listed_title(file) == "Strategies: 10 000 clients"


def test_no_committed_suite_has_a_number_of_connections_in_its_title():
    for name in suite_file.names():
        shown = suite_file.load(name, connections=1234, fit=lambda config: 1).title
        assert "000" not in shown and "illion" not in shown and "{" not in shown, shown


def test_options_become_words():
    assert option_words({"a": 1, "b": ["x", "y=2"], "c": True, "d": False, "e": None}) == [
        "--a", "1", "--b", "x", "--b", "y=2", "--c"]


def write_memory(tmp_path, rows, tail=""):
    path = tmp_path / "memory.csv"
    path.write_text(HEAD + "".join(rows) + tail)
    return path


def row(at, count, user, pss=True, kernel=0):
    return f"{at},x,{count},{user},{user if pss else ''},,{count},,,{kernel},0,\n"


def test_memory_at_a_count_is_the_median_of_its_readings(tmp_path):
    curve = curves.MemoryCurve(write_memory(tmp_path, [
        row(1, 0, 100), row(2, 10, 1000), row(3, 10, 1100), row(4, 10, 9000, pss=False), row(5, 10, 1050), row(6, 0, 5)]))
    assert curve.at(10).user_bytes == 1050
    assert curve.at(0).user_bytes == 100
    assert curve.at(5) is None
    assert curve.most() == 10


def test_what_is_read_while_everybody_leaves_does_not_count(tmp_path):
    curve = curves.MemoryCurve(write_memory(tmp_path, [row(1, 10, 1000), row(2, 20, 2000), row(3, 10, 9000)]))
    assert curve.at(10).user_bytes == 1000 and curve.at(10).last_ns == 1


def test_rss_stands_in_where_pss_was_never_read(tmp_path):
    curve = curves.MemoryCurve(write_memory(tmp_path, [row(1, 10, 700, pss=False)]))
    assert curve.at(10).user_bytes == 700 and curve.at(10).user_is == "rss"


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    assert len(curves.MemoryCurve(write_memory(tmp_path, [row(1, 10, 700)], tail="2,x,11,9")).rows) == 1


@pytest.mark.parametrize("line, where", [("1,x,ten,,,,,,,,,\n", "line 2, connections"), ("1,2\n", "line 2")])
def test_a_broken_line_is_named(tmp_path, line, where):
    with pytest.raises(RecordError) as caught:
        curves.MemoryCurve(write_memory(tmp_path, [line]))
    assert where in str(caught.value)


def test_an_empty_or_foreign_file_is_refused(tmp_path):
    (tmp_path / "memory.csv").write_text("")
    with pytest.raises(RecordError, match="no header"):
        curves.MemoryCurve(tmp_path / "memory.csv")
    (tmp_path / "memory.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RecordError, match="at_ns is missing"):
        curves.MemoryCurve(tmp_path / "memory.csv")


@pytest.mark.parametrize("text, count", [("10", 10), ("10k", 10_000), ("1M", 1_000_000), ("1.5M", 1_500_000), ("10_000", 10_000)])
def test_counts_are_read(text, count):
    assert units.parse_count(text) == count


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "1q", "1e99", "9" * 40])
def test_what_is_no_count_is_refused(text):
    with pytest.raises(UsageError):
        units.parse_count(text)


def test_numbers_are_shown_for_people():
    assert units.show_bytes(738) == "738 B" and units.show_bytes(1 << 34) == "16 GiB"
    assert units.show_ns(812) == "812 ns" and units.show_ns(2_040_000) == "2.04 ms" and units.show_ns(1.5e9) == "1.5 s"
    assert units.show_count(1_234_567) == "1 234 567"
    assert units.show(None, "ns") == "-"
    assert units.parse_bytes("512MiB") == 512 << 20 and units.parse_seconds("500ms") == 0.5


def test_tables_are_harmless():
    assert "\x1b" not in table.text_table(["a"], [["\x1b[31mred"]])
    assert table.markdown_text("<b>|x|") == "&lt;b&gt;\\|x\\|"
