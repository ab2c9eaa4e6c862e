# SPDX-License-Identifier: Apache-2.0
"""An installation in a folder of its own, for tests: `make install DESTDIR=...`."""
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/usr"


def make(target: str, destination: Path, *variables: str) -> subprocess.CompletedProcess:
    # Under `make test` the outer make's flags would come along.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    build = os.environ.get("POOLMARK_BUILD", "build")
    return subprocess.run(["make", "-s", target, f"B={build}", f"DESTDIR={destination}", f"PREFIX={PREFIX}", *variables], cwd=ROOT,
                          env=environment, capture_output=True, text=True, timeout=240, check=False)


def flags(destination: Path, *words: str) -> list[str]:
    """What pkg-config says of the installed library, as a compiler has to be told here."""
    environment = os.environ | {"PKG_CONFIG_LIBDIR": f"{destination}{PREFIX}/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": str(destination)}
    done = subprocess.run(["pkg-config", *words, "poolmark"], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def as_user(*words, cwd: Path, timeout: float = 120) -> subprocess.CompletedProcess:
    """As an ordinary user with an ordinary environment: nobody when this is root."""
    drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "LANG": "C.UTF-8", "TERM": "dumb"}
    return subprocess.run([*drop, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


def open_folder(path: Path) -> Path:
    """Made for the user that as_user is."""
    path.mkdir(exist_ok=True)
    path.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    return path
