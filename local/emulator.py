"""The emulator's process: started on a port of the system's choosing, stopped with everything it started."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from local.certificate import create_certificate

_HOST = "127.0.0.1"
_START_SECONDS = 30.0
_STOP_SECONDS = 3.0
_REPOSITORY = Path(__file__).resolve().parent.parent


class EmulatorError(RuntimeError):
    """The emulator did not start, or died. The message ends with the last lines of its log."""


class Emulator:
    """One emulator, serving HTTPS on 127.0.0.1 alone, with authorisation on and state in memory and a private folder.

    Use it as a context manager; leaving it stops the process group and removes the folder, however it is left. A parent
    that is killed takes the emulator with it: the emulator watches a pipe this object holds open.

    gaps: fill what the emulator lacks (`local.patches`). Off only to see what it does by itself.
    """

    def __init__(self, *, gaps: bool = True) -> None:
        self._gaps = gaps
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def endpoint(self) -> str:
        """The URL every service answers at."""
        return f"https://{_HOST}:{self._port}"

    @property
    def port(self) -> int:
        """The TCP port, chosen by the operating system at `start`."""
        return self._port

    @property
    def folder(self) -> Path:
        """The private folder of this run: certificate, log, payloads, function code. Removed by `stop`."""
        if self._folder is None:
            raise EmulatorError("The emulator is not running: call start() first.")
        return self._folder

    @property
    def ca_bundle(self) -> Path:
        """The authority that signed the emulator's certificate, PEM."""
        return self.folder / "authority.pem"

    @property
    def sns_certificate(self) -> Path:
        """What SNS signs notifications over HTTPS with, PEM; there once it has posted one."""
        return self.folder / "sns.pem"

    def resolve(self, ports: dict[str, int]) -> None:
        """Have SNS find these hosts at these ports of 127.0.0.1. It posts to no other."""
        (self.folder / "endpoints.json").write_text(json.dumps(ports))

    @property
    def log_path(self) -> Path:
        """What the emulator printed."""
        return self.folder / "emulator.log"

    @property
    def pid(self) -> int:
        """The process id, which is its process group's id as well."""
        if self._process is None:
            raise EmulatorError("The emulator is not running: call start() first.")
        return self._process.pid

    def start(self) -> Self:
        """Start the process and wait until it is healthy.

        Raises EmulatorError when it exits or does not answer within 30 seconds.
        """
        try:
            self._launch()
            self._wait_until_healthy()
        except BaseException:  # Ctrl-C while it starts must leave nothing behind either
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the process group, first politely, and remove the folder. Harmless when already stopped."""
        process, self._process = self._process, None
        if process is not None:
            _signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            _signal_group(process.pid, signal.SIGKILL)  # functions' processes outlive the emulator's own exit
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def last_log_lines(self, count: int = 20) -> str:
        """The end of the log, for a message to a person."""
        if self._folder is None or not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-count:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="coatcheck-local-"))
        certificate = create_certificate(self._folder)
        scratch = self._folder / "tmp"
        scratch.mkdir()
        # The socket is bound here and handed over, so that no other process can take the port in between.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, self.log_path.open("wb") as log:
            listener.bind((_HOST, 0))
            self._port = int(listener.getsockname()[1])
            environment = {
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
                "LANG": "C.UTF-8",
                "TZ": "UTC",
                "HOME": str(scratch),
                "TMPDIR": str(scratch),
                "PYTHONUNBUFFERED": "1",
                "AUTH": "true",
                "USE_SSL": "1",
                "MINISTACK_SSL_CERT": str(certificate.chain),
                "MINISTACK_SSL_KEY": str(certificate.key),
                # Functions inherit it, and so trust the endpoint they are given, without a line of theirs saying so.
                "AWS_CA_BUNDLE": str(certificate.authority),
                # Lambda's Node runtime has the AWS SDK, which a function of CDK's own relies on to empty a bucket.
                "NODE_PATH": str(_REPOSITORY / "node_modules"),
                "BIND_HOST": _HOST,
                "GATEWAY_PORT": str(self._port),
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                # Where there is a container engine nothing may start in it: the world is the same on every machine.
                "DOCKER_HOST": f"unix://{self._folder}/no-container-engine.sock",
            }
            arguments = [sys.executable, "-m", "local.emulator_process", "--socket", str(listener.fileno())]
            self._process = subprocess.Popen(
                arguments if self._gaps else [*arguments, "--bare"],
                cwd=_REPOSITORY,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )

    def _wait_until_healthy(self) -> None:
        context = ssl.create_default_context(cafile=str(self.ca_bundle))
        # No proxy: a proxy variable of the user's must not carry requests for this machine elsewhere.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise EmulatorError(f"The emulator exited while starting. Its log ends:\n{self.last_log_lines()}")
            try:
                with opener.open(f"{self.endpoint}/_ministack/health", timeout=2.0) as answer:
                    if answer.status == 200:
                        return
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)
        raise EmulatorError(
            f"The emulator did not answer within {_START_SECONDS:.0f} s. Its log ends:\n{self.last_log_lines()}"
        )


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(group, number)
