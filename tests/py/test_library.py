# SPDX-License-Identifier: Apache-2.0
"""The pools as an installed library: symbols, headers, and a server built with it."""
import os
import re
import signal
import socket
import subprocess

import pytest

from installed import PREFIX, ROOT, flags, make

COMPILERS = {"c": ["gcc", "-std=c11", "-D_GNU_SOURCE", "-Wconversion"], "c++": ["g++", "-std=c++17", "-x", "c++"]}
STRICT = ["-Wall", "-Wextra", "-Werror", "-O2"]


@pytest.fixture(scope="module")
def destination(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    done = make("install-library", folder)
    assert done.returncode == 0, done.stderr
    return folder


def compile_with(language, source, program, more, where=()):
    words = [*COMPILERS[language], *STRICT, *where, str(source), "-x", "none", "-o", str(program), *more]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def link_flags(destination, kind):
    if kind == "shared":
        return flags(destination, "--cflags", "--libs")
    # Beside a shared library, the linker takes the static one only by its file name.
    return [f"{destination}{PREFIX}/lib/libpoolmark.a" if word == "-lpoolmark" else word
            for word in flags(destination, "--static", "--cflags", "--libs")]


def declared(destination):
    """Functions that the installed headers declare but do not define."""
    names = set()
    for header in (destination / PREFIX[1:] / "include" / "poolmark").glob("pool*.h"):
        text = re.sub(r"//.*", "", header.read_text())
        names |= {match[1] for match in re.finditer(r"^(?!static|typedef|\s|#)[\w *]*?\b(pool_\w+)\(", text, re.M)}
        names |= set(re.findall(r"^extern __thread int\s+(\w+);", text, re.M))
    return names


def symbols(file, *words):
    out = subprocess.run(["nm", "-g", "--defined-only", *words, str(file)], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines() if re.search(r" [TDBRV] ", line)}


def test_both_libraries_have_the_contracts_symbols_and_no_others(destination):
    wanted = declared(destination)
    assert {"pool_open", "pool_strategies", "pool_thread_slot_cached"} <= wanted
    assert symbols(destination / PREFIX[1:] / "lib" / "libpoolmark.so", "-D") == wanted
    assert symbols(destination / PREFIX[1:] / "lib" / "libpoolmark.a") == wanted


def test_the_debian_package_promises_the_same_symbols(destination):
    promised = (ROOT / "debian" / "libpoolmark0.symbols").read_text()
    assert set(re.findall(r"^ (pool_\w+)@", promised, re.M)) == declared(destination)


def test_the_shared_library_needs_nothing_but_libc(destination):
    library = destination / PREFIX[1:] / "lib" / "libpoolmark.so"
    told = subprocess.run(["readelf", "-d", str(library)], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"Shared library: \[([^].]+)\.so", told)) <= {"libc", "libm", "ld-linux-x86-64"}


def test_the_shared_library_has_a_versioned_name(destination):
    library = destination / PREFIX[1:] / "lib" / "libpoolmark.so"
    told = subprocess.run(["readelf", "-d", str(library)], capture_output=True, text=True, check=True).stdout
    name = re.search(r"Library soname: \[(libpoolmark\.so\.\d+)\]", told)[1]
    assert (library.parent / name).resolve() == library.resolve()
    assert library.resolve().name == f"libpoolmark.so.{(ROOT / 'VERSION').read_text().strip()}"
    assert flags(destination, "--modversion") == [(ROOT / "VERSION").read_text().strip()]


@pytest.mark.parametrize("standard", ["c99", "c11", "gnu17", "c++17", "c++20"])
def test_each_header_can_be_included_alone(destination, standard):
    compiler = "g++" if "+" in standard else "gcc"
    for header in (destination / PREFIX[1:] / "include" / "poolmark").iterdir():
        words = [compiler, f"-std={standard}", *STRICT, "-pedantic", *flags(destination, "--cflags"), "-fsyntax-only", "-include",
                 f"poolmark/{header.name}", "-x", "c++" if "+" in standard else "c", "/dev/null"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_program_may_use_the_names_that_the_library_uses_inside(destination, tmp_path):
    source = tmp_path / "names.c"
    source.write_text("""#include <poolmark/pool.h>
int err_set(void); int err_set(void) { return 1; }
int clock_now_ns(void); int clock_now_ns(void) { return 2; }
int growth_next(void); int growth_next(void) { return 3; }
int main(void)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.object_bytes = 64;
    struct pool *pool;
    if (pool_open(&pool, pool_strategy_find("expand"), &config, NULL) < 0)
        return 1;
    void *objects[100];
    for (int i = 0; i < 100; i++)
        objects[i] = pool_get(pool);
    for (int i = 0; i < 100; i++)
        pool_put(pool, objects[i]);
    pool_close(pool);
    return err_set() + clock_now_ns() + growth_next() - 6;
}
""")
    for kind in ("shared", "static"):
        compile_with("c", source, tmp_path / kind, link_flags(destination, kind))
        environment = os.environ | {"LD_LIBRARY_PATH": f"{destination}{PREFIX}/lib"}
        assert subprocess.run([str(tmp_path / kind)], env=environment, check=False).returncode == 0


REGISTRY = """#include <poolmark/pool_registry.h>
#include <string.h>
int main(void)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct pool_registry *registry;
    struct err err;
    config.name = "connections";
    config.object_bytes = 64;
    if (pool_registry_open(&registry, &err) < 0 || pool_registry_add(registry, pool_strategy_find("slab"), &config, &err) < 0)
        return 1;
    struct pool *pool = pool_registry_find(registry, "connections");
    pool_put(pool, pool_get(pool));
    if (pool_registry_page(registry, POOL_PAGE_PROMETHEUS, stdout) < 0 || pool_registry_remove(registry, "connections", 0, &err) == 0)
        return 2;
    fprintf(stderr, "%s", err.text);
    pool_registry_release(registry, pool);
    return pool_registry_remove(registry, "connections", 0, &err) < 0 || pool_registry_close(registry, &err) < 0;
}
"""


@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_registry_of_pools_is_in_the_library(destination, tmp_path, language):
    (tmp_path / "registry.c").write_text(REGISTRY)
    for kind in ("shared", "static"):
        compile_with(language, tmp_path / "registry.c", tmp_path / kind, link_flags(destination, kind))
        environment = os.environ | {"LD_LIBRARY_PATH": f"{destination}{PREFIX}/lib"}
        done = subprocess.run([str(tmp_path / kind)], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stderr == "pool connections: 1 references are not released"
        assert 'poolmark_pool_puts_total{pool="connections",strategy="slab"} 1\n' in done.stdout


def talk(program, strategy, environment):
    """Connects 40 clients to the example at once, twice; returns its output."""
    with subprocess.Popen([str(program), strategy, "0"], env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline().removeprefix("ready "))
            for _ in range(2):
                clients = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(40)]
                for number, client in enumerate(clients):
                    client.sendall(b"%d" % number)
                    assert client.recv(100) == b"%d" % number
                for client in clients:
                    client.shutdown(socket.SHUT_WR)
                    assert client.recv(100) == b""  # closed: the object was put, or will be soon
                    client.close()
            server.send_signal(signal.SIGTERM)
            said = server.stdout.read()
            assert server.wait(30) == 0
            return said
        finally:
            server.kill()


@pytest.mark.parametrize("kind", ["shared", "static"])
@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_example_server_serves(destination, tmp_path, language, kind):
    program = tmp_path / "echo-server"
    compile_with(language, ROOT / "examples" / "echo-server.c", program, link_flags(destination, kind))
    linked = subprocess.run(["readelf", "-d", str(program)], capture_output=True, text=True, check=True).stdout
    assert ("libpoolmark.so" in linked) == (kind == "shared")
    environment = os.environ | {"LD_LIBRARY_PATH": f"{destination}{PREFIX}/lib"}
    for strategy in ("malloc", "fixed", "expand", "slab", "sync", "blocks"):
        assert talk(program, strategy, environment).startswith(f"{strategy}: 80 gets, 80 puts, ")


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_the_example_tells_what_a_get_costs(destination, tmp_path, kind):
    program = tmp_path / "get-cost"
    compile_with("c", ROOT / "examples" / "get-cost.c", program, link_flags(destination, kind))
    where = {**os.environ, "LD_LIBRARY_PATH": f"{destination}{PREFIX}/lib"}
    for words, told in ((["slab", "64"], r"called [0-9.]+ ns, compiled in [0-9.]+ ns\n"), (["fixed"], r"called [0-9.]+ ns\n")):
        done = subprocess.run([str(program), *words], env=where, capture_output=True, text=True, check=True, timeout=60)
        assert re.fullmatch(told, done.stdout)


def test_the_example_names_what_is_wrong(destination, tmp_path):
    program = tmp_path / "echo-server"
    compile_with("c", ROOT / "examples" / "echo-server.c", program, link_flags(destination, "static"))
    done = subprocess.run([str(program), "no-such", "0"], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (2, "echo-server: there is no such strategy\n")


def test_uninstall_leaves_nothing(destination):
    assert make("uninstall", destination).returncode == 0
    left = [path for path in destination.rglob("*") if not path.is_dir() or "poolmark" in path.name]
    assert left == []
