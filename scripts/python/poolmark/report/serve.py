# SPDX-License-Identifier: Apache-2.0
"""report --serve: shows the page on 127.0.0.1 until Ctrl-C, for browsers that cannot open a file (another user's, a container's,
through `ssh -L`). Only the page's folder and the runs' folders are served, only to read, and without lists of folders.
"""
import http.server
import os
import urllib.parse
from functools import partial
from pathlib import Path
from typing import Any

from poolmark.base.errors import PoolmarkError

ADDRESS = "127.0.0.1"


class Pages(http.server.SimpleHTTPRequestHandler):
    """Serves files below `directory` that are in one of `folders`."""

    def __init__(self, *words: Any, folders: list[Path], **more: Any) -> None:
        self.folders = folders
        super().__init__(*words, **more)

    def translate_path(self, path: str) -> str:
        """The file, with links followed; "" for one outside of the folders."""
        try:
            found = Path(os.path.realpath(super().translate_path(urllib.parse.urlsplit(path).path)))
        except (OSError, ValueError):   # a NUL, or an address that urlsplit does not take
            return ""
        return str(found) if any(found.is_relative_to(folder) for folder in self.folders) else ""

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        self.send_error(404, "there is no list of a folder")

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *_words: object) -> None:
        """Nothing: the terminal shows where the page is."""


def server(page: Path, runs: list[Path], port: int) -> tuple[http.server.ThreadingHTTPServer, str]:
    """(a server that listens, the page's address). `port` 0: a free one. PoolmarkError when it cannot listen."""
    folders = [Path(os.path.realpath(folder)) for folder in (page.parent, *runs)]
    root = Path(os.path.commonpath(folders))
    try:
        made = http.server.ThreadingHTTPServer((ADDRESS, port), partial(Pages, directory=str(root), folders=folders))
    except OSError as error:
        raise PoolmarkError(f"--serve: port {port} of {ADDRESS}: {error.strerror}") from error
    place = urllib.parse.quote((folders[0] / page.name).relative_to(root).as_posix())
    return made, f"http://{ADDRESS}:{made.server_address[1]}/{place}"


def serve(page: Path, runs: list[Path], port: int) -> None:
    """Until Ctrl-C."""
    made, where = server(page, runs, port)
    with made:
        print(f"{where} (Ctrl-C ends it)", flush=True)
        try:
            made.serve_forever()
        except KeyboardInterrupt:
            print()
