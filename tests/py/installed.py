# SPDX-License-Identifier: Apache-2.0
"""An installation in its own folder, for tests: `make install DESTDIR=...`."""
import fcntl
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/usr"


def make(target: str, destination: Path, *variables: str) -> subprocess.CompletedProcess:
    # Under `make test` the outer make's flags would be inherited.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    build = os.environ.get("POOLMARK_BUILD", "build")
    with open(ROOT / build / "installed.lock", "w", encoding="ascii") as lock:  # two tests that make one file would spoil it
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.run(["make", "-s", target, f"B={build}", f"DESTDIR={destination}", f"PREFIX={PREFIX}", *variables], cwd=ROOT,
                              env=environment, capture_output=True, text=True, timeout=240, check=False)


def flags(destination: Path, *words: str) -> list[str]:
    """pkg-config's flags for the installed library, with paths for this folder."""
    environment = os.environ | {"PKG_CONFIG_LIBDIR": f"{destination}{PREFIX}/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": str(destination)}
    done = subprocess.run(["pkg-config", *words, "poolmark"], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def as_user(*words, cwd: Path, timeout: float = 120) -> subprocess.CompletedProcess:
    """Runs a command as an ordinary user with an ordinary environment; as nobody when this is root."""
    drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "LANG": "C.UTF-8", "TERM": "dumb"}
    return subprocess.run([*drop, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


def open_folder(path: Path) -> Path:
    """A folder that belongs to the user of as_user()."""
    path.mkdir(exist_ok=True)
    path.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    return path
