# SPDX-License-Identifier: Apache-2.0
"""Manual pages and completions of all programs, made from what they say of themselves.

    packaging/generate BUILD OUT      writes OUT/man/NAME.1, OUT/bash/NAME, OUT/zsh/_NAME

No list of options stands anywhere else: a new row of a program's table, or a new argument of a command, is in all of them.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts" / "python"), str(Path(__file__).resolve().parent)]
sys.dont_write_bytecode = True

import completions  # noqa: E402
import facts  # noqa: E402
import man  # noqa: E402


def release() -> tuple[str, str]:
    """Version, and the date that CHANGELOG.md has of it."""
    version = (ROOT / "VERSION").read_text(encoding="utf-8").strip()
    match = re.search(rf"^## {re.escape(version)} - (\d{{4}}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    if not match:
        sys.exit(f"packaging/generate: CHANGELOG.md has no line \"## {version} - YYYY-MM-DD\"")
    return version, match[1]


def main(build: Path, out: Path) -> None:
    version, date = release()
    commands = facts.everything(build, ROOT / "scripts")
    names = [command.name for command in commands]
    for command in commands:
        more = ROOT / "packaging" / "man" / f"{command.name}.man"
        for path, text in ((f"man/{command.name}.1", man.page(command, version, date, more, names)),
                           (f"bash/{command.name}", completions.bash(command)), (f"zsh/_{command.name}", completions.zsh(command))):
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: packaging/generate BUILD OUT")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
