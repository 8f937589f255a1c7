"""What runs inside the emulator's process: `python -m local.emulator_process --socket <fd> [--bare]`, started by
`local.emulator`.

It serves ministack on a socket it inherits, and ends, with its whole process group, when its standard input closes:
that is when the process that started it is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
from importlib.metadata import version
from pathlib import Path

MINISTACK_VERSION = "1.5.33"


def main() -> None:
    """Check ministack's version, fill its gaps, serve until told to stop."""
    parser = argparse.ArgumentParser(description="Serve the emulated accounts on an inherited socket.")
    parser.add_argument("--socket", type=int, required=True, help="file descriptor of a bound TCP socket")
    parser.add_argument("--bare", action="store_true", help="ministack as it is, with no gap filled")
    arguments = parser.parse_args()

    check_version(version("ministack"))
    _allow_many_files()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if not arguments.bare:
        from local import patches as gaps

        gaps.install()
    asyncio.run(_serve(arguments.socket))


def check_version(found: str) -> None:
    """Raise SystemExit unless `found` is the version the gaps were written for: they reach into its private parts."""
    if found != MINISTACK_VERSION:
        raise SystemExit(
            f"ministack {found} is installed, but local/patches is written for {MINISTACK_VERSION}. Install "
            f"ministack=={MINISTACK_VERSION}, or change MINISTACK_VERSION in {__file__} and run tests/local: "
            "they say which gaps still hold."
        )


async def _serve(socket_descriptor: int) -> None:
    # ministack's own main() would open port 443 as well when run as root; this opens the one socket.
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack import app
    from ministack.core import tls

    config = Config()
    config.bind = [f"fd://{socket_descriptor}"]
    config.certfile, config.keyfile = tls.resolve_tls_material()
    config.alpn_protocols = ["http/1.1"]
    config.keep_alive_timeout = 75
    # With a trigger of ours hypercorn leaves SIGTERM alone, which then ends the process at once: nothing is saved.
    await serve(app.app, config, shutdown_trigger=asyncio.Event().wait)


def _allow_many_files() -> None:
    # Every connection takes a file descriptor, and so does every part of a large payload on its way.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, 65_536)), hard))


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written: this returns at the end of the file
    shutil.rmtree(Path(tempfile.gettempdir()).parent, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
