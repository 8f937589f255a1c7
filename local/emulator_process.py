"""The program that runs in the emulator's process. `local.emulator` starts it.

    python -m local.emulator_process --socket <fd> [--unpatched]

It serves ministack on an inherited socket. When the process that started it ends, its standard input closes. Then it
ends with its whole process group.
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
import traceback
from importlib.metadata import version
from pathlib import Path

MINISTACK_VERSION = "1.5.33"


def main() -> None:
    """Check ministack's version, apply the patches and serve until a signal."""
    parser = argparse.ArgumentParser(description="Serve the emulated accounts on an inherited socket.")
    parser.add_argument("--socket", type=int, required=True, help="file descriptor of a bound TCP socket")
    parser.add_argument("--unpatched", action="store_true", help="serve the published ministack, without patches")
    arguments = parser.parse_args()

    check_version(version("ministack"))
    _allow_many_files()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from local import gate

    gate.make_function_credentials_secret()
    if not arguments.unpatched:
        from local import patches

        patches.install()
    state = os.environ.get("COATCHECK_STATE")
    asyncio.run(_serve(arguments.socket, Path(state) if state else None))


def check_version(installed: str) -> None:
    """Raise SystemExit if `installed` is not the version of the patches, which use private parts of ministack."""
    if installed != MINISTACK_VERSION:
        raise SystemExit(
            f"ministack {installed} is installed, but local/patches is written for {MINISTACK_VERSION}. Install "
            f"ministack=={MINISTACK_VERSION}. To upgrade, change MINISTACK_VERSION in {__file__} and run "
            "`pytest tests/local/patches --world unpatched`: it shows which patches are still needed."
        )


async def _serve(socket_descriptor: int, state: Path | None) -> None:
    # ministack's main() also opens port 443 if it runs as root. This function opens one socket.
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack import app
    from ministack.core import tls

    from local import kept_state
    from local.gate import Gate

    config = Config()
    config.bind = [f"fd://{socket_descriptor}"]
    config.certfile, config.keyfile = tls.resolve_tls_material()
    config.alpn_protocols = ["http/1.1"]
    config.keep_alive_timeout = 75
    # With a shutdown trigger, hypercorn does not handle SIGTERM, which then ends the process at once: nothing is saved.
    if state:
        kept_state.load(state)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _save_and_exit, state)
    await serve(Gate(app.app), config, shutdown_trigger=asyncio.Event().wait)


def _save_and_exit(state: Path) -> None:
    """Save the state between two requests, and exit at once."""
    from local import kept_state

    try:
        kept_state.save(state)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _allow_many_files() -> None:
    # Each connection, and each part of a large payload during an upload, uses a file descriptor.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, 65_536)), hard))


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # the parent writes nothing: this returns at the end of the file
    shutil.rmtree(Path(tempfile.gettempdir()).parent, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
