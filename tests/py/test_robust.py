# SPDX-License-Identifier: Apache-2.0
"""Nothing is left out of what shows that the broker stays up: the calls that `make faults` lets fail, and the first inputs of the
connection fuzzer."""
import importlib.util
import os
import re
import subprocess

import pytest
from conftest import ROOT
from poolmark.base.paths import build_dir

BROKER = build_dir() / "poolmark-broker"
FUZZ = ROOT / "tests/fuzz"

# Functions of other libraries that the broker calls and no fault is made for, by reason.
CANNOT_FAIL = """
abort __errno_location __cxa_finalize __gmon_start__ __libc_start_main __sched_cpucount _ITM_deregisterTMCloneTable
_ITM_registerTMCloneTable clock_getcpuclockid clock_gettime clock_nanosleep nanosleep dirname dlerror ferror floor fmod fnmatch free freeaddrinfo
gai_strerror getcpu getegid geteuid getpid getopt_long gmtime_r gnu_get_libc_version inet_ntop mallinfo2 malloc_trim mallopt malloc_usable_size memchr memcmp memcpy
memmove memset munmap qsort round sched_yield signal sigaddset sigemptyset sigfillset snprintf strchr strcmp strcspn strerror strftime
strlen sysinfo strncasecmp strncat strncmp strnlen strpbrk strrchr strsep strspn strstr strtod strtoll sysconf uname vsnprintf __isoc99_sscanf
pthread_attr_destroy pthread_attr_getstack pthread_attr_getstacksize pthread_attr_init pthread_attr_setstacksize pthread_cond_broadcast pthread_cond_destroy pthread_cond_init
pthread_cond_timedwait pthread_cond_wait pthread_condattr_destroy pthread_condattr_init pthread_condattr_setclock pthread_join pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock
pthread_mutexattr_destroy pthread_mutexattr_init pthread_mutexattr_setprotocol pthread_mutexattr_settype pthread_once
pthread_rwlock_destroy pthread_rwlock_init pthread_rwlock_rdlock pthread_rwlock_unlock pthread_rwlock_wrlock pthread_rwlockattr_destroy
pthread_rwlockattr_init pthread_rwlockattr_setkind_np pthread_setname_np pthread_sigmask sem_clockwait sem_destroy sem_init sem_post
sem_trywait sem_wait
"""
STREAMS = "fflush fgets fprintf fputc fwrite printf putc puts __isoc99_fscanf open_memstream"   # of open streams; fopen and fclose fail
ASKED_AND_NOT_NEEDED = "access closedir fts_close dl_iterate_phdr dladdr dlopen dlsym fts_read fts_set getpriority personality prctl readdir realpath sched_getaffinity sched_getscheduler pthread_getattr_np stat"
AT_START_ONLY = "__register_atfork pthread_key_create pthread_setspecific syscall"  # tests/test_slab_barrier.c refuses membarrier
OTHER_LIBRARIES = r"json_\w+|MHD_\w+|SHA256\w+|sqlite3_\w+"     # jansson's memory fails, as json_malloc


def calls_that_fail():
    return set(re.findall(r"^    X\((\w+), ", (ROOT / "tests/faults/fault.h").read_text(encoding="utf-8"), re.M))


@pytest.mark.skipif(not os.access(BROKER, os.X_OK), reason="the programs are not built")
def test_every_call_of_the_broker_fails_once_or_has_a_reason_not_to():
    told = subprocess.run(["nm", "-D", "--undefined-only", BROKER], capture_output=True, text=True, check=True).stdout
    called = {line.split()[1].split("@")[0] for line in told.splitlines() if line.strip()}
    assert "epoll_wait" in called
    known = calls_that_fail() | set(f"{CANNOT_FAIL} {STREAMS} {ASKED_AND_NOT_NEEDED} {AT_START_ONLY}".split())
    left = sorted(name for name in called - known if not re.fullmatch(OTHER_LIBRARIES, name))
    assert not left, f"add them to FAULT_CALLS in tests/faults/fault.h, or here with a reason: {', '.join(left)}"


def seeds():
    spec = importlib.util.spec_from_file_location("connection_seeds", FUZZ / "connection_seeds.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_connection_fuzzer_begins_with_each_packet_and_each_attack():
    made = seeds()
    for corpus, inputs in ((made.CORPUS, made.seeds()), (made.PACKETS, made.packets())):
        different = [name for name, content in inputs.items() if not (corpus / name).is_file() or (corpus / name).read_bytes() != content]
        assert not different, f"tests/fuzz/connection_seeds.py writes them: {', '.join(different)}"
        others = [path.name for path in corpus.iterdir() if path.name not in inputs and not re.fullmatch(r"[0-9a-f]{40}", path.name)]
        assert not others, f"neither a first input nor one that a fuzzer named: {', '.join(others)}"


def test_the_fuzzer_of_command_lines_begins_with_each_option():
    """Those that bring something of the host into it are left out."""
    words = {program: set() for program in ("broker", "generator")}
    for path in (FUZZ / "corpus/options").iterdir():
        program, *more = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        words[program] |= set(more)
    tables = {"broker": ("broker/config.c",), "generator": ("loadgen/command_table.c", "loadgen/identity_options.c")}
    for program, files in tables.items():
        options = set(re.findall(r'^    \{"([a-z-]+)", ', "".join((ROOT / one).read_text(encoding="utf-8") for one in files), re.M))
        assert len(options) > 20
        left = {f"--{one}" for one in options - {"help", "version", "describe"}} - words[program]
        assert not left, f"{program}: an input in tests/fuzz/corpus/options for {', '.join(sorted(left))}"


def test_acts_and_settings_of_the_first_inputs_are_those_of_the_target():
    made, target = seeds(), (FUZZ / "fuzz_connection.c").read_text(encoding="utf-8")
    settings = dict(re.findall(r"SETTING_(\w+) = (\d+),", target))
    assert {name: int(value) for name, value in settings.items()} == {name: getattr(made, name) for name in settings}
    acts = re.findall(r"ACT_(\w+)(?: = (\d+))?,", target[target.index("enum act {"):target.index("enum phase")])
    value, numbers = 0, {}
    for name, number in acts:
        value = int(number) if number else value
        numbers[name] = value
        value += 1
    ours = {"STOP_READING": "STOP"}
    assert numbers == {name: getattr(made, ours.get(name, name)) for name in numbers} and len(numbers) == 11
