"""The emulator's process: starts it on a free port and stops it with every process that it started."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import trustme

from local.kept_state import KeptState
from local.private_folder import PrivateFolder

_HOST = "127.0.0.1"
_START_SECONDS = 30.0
_STOP_SECONDS = 3.0
_SAVE_SECONDS = 120.0
_CERTIFICATE_LIFETIME = timedelta(days=7)
_REPOSITORY = Path(__file__).resolve().parent.parent
SERVICES = (
    *("cloudformation", "codebuild", "dynamodb", "ec2", "ecr", "ecs", "events", "iam", "kms", "lambda", "logs"),
    *("monitoring", "s3", "sns", "sqs", "ssm", "states", "sts"),
)
"""The services of deployments, functions and the CDK CLI, by their names in signatures. No other service exists."""


class EmulatorError(RuntimeError):
    """The emulator did not start, or it stopped. The message ends with the last lines of its log."""


class Emulator:
    """An emulator that serves HTTPS on 127.0.0.1, to callers with a secret of this run, and checks policies.

    Its state is in memory and in a private folder. A context manager: on exit it stops the process group and removes
    the folder. If the parent process is killed, the emulator ends too: it waits for the end of a pipe from the parent.

    patched: apply `local.patches`. False starts the published emulator, for comparison.
    images: run ECS tasks in containers of their images, which buildah builds (`local.images`).
    port: the TCP port. 0: that of the kept state, or the operating system chooses one.
    state: a folder that has the content of the accounts of an earlier run, and gets it at `stop`. None: it is lost.
    """

    def __init__(
        self, *, patched: bool = True, images: bool = False, port: int = 0, state: KeptState | None = None
    ) -> None:
        self.secret = secrets.token_urlsafe(32)
        """The secret access key of every account's root. Each run has another."""
        self._patched, self._images = patched, images
        self._folder: PrivateFolder | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port, self._state = port, state

    @property
    def endpoint(self) -> str:
        """The endpoint URL of every service."""
        return f"https://{_HOST}:{self._port}"

    @property
    def port(self) -> int:
        """The TCP port. Without a port of the caller, the operating system chooses one at `start`."""
        return self._port

    @property
    def folder(self) -> Path:
        """The private folder of this run: certificates, log, payloads, function code. `stop` removes it."""
        if self._folder is None:
            raise EmulatorError("The emulator is not running: call start() first.")
        return self._folder.path

    @property
    def ca_bundle(self) -> Path:
        """The certificate authority of this run, PEM. It issued all certificates of this run."""
        return self.folder / "authority.pem"

    @property
    def server_certificate(self) -> Path:
        """A certificate for 127.0.0.1 and localhost, with its private key, PEM."""
        return self.folder / "server.pem"

    @property
    def sns_certificate(self) -> Path:
        """The certificate for signatures of SNS messages, PEM."""
        return self.folder / "sns.pem"

    @property
    def sns_key(self) -> Path:
        """The private key for signatures of SNS messages, PEM."""
        return self.folder / "sns-key.pem"

    def resolve(self, ports: dict[str, int]) -> None:
        """Set the ports of 127.0.0.1 to which SNS posts for each host. SNS posts to no other host."""
        (self.folder / "endpoints.json").write_text(json.dumps(ports))

    @property
    def log_path(self) -> Path:
        """The emulator's log."""
        return self.folder / "emulator.log"

    @property
    def function_log_path(self) -> Path:
        """The lines that functions log, of all accounts, with account and function."""
        return self.folder / "functions.log"

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        if self._process is None:
            raise EmulatorError("The emulator is not running: call start() first.")
        return self._process.pid

    def start(self) -> Self:
        """Start the process and wait until it is healthy.

        Raises:
            EmulatorError: the port is in use, or the process exits, or it does not respond within 30 seconds.
            StateError: the folder of the kept state cannot be used.
        """
        if self._state:
            self._state.open()
            self._port = self._port or self._state.port
        try:
            self._launch()
            self._wait_until_healthy()
        except BaseException:  # also Ctrl-C during the start
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the process group, with SIGTERM first, and remove the folder. Does nothing if already stopped.

        Raises:
            EmulatorError: the state could not be saved. That of the earlier run remains.
        """
        process, self._process = self._process, None
        problem = None
        if process is not None:
            saves = self._state is not None and process.poll() is None
            _signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_SAVE_SECONDS if saves else _STOP_SECONDS)
            _signal_group(process.pid, signal.SIGKILL)  # the functions' processes outlive the emulator's exit
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
            if saves and process.returncode:
                problem = f"The state was not saved. The emulator's log ends:\n{self.last_log_lines()}"
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.remove()
        if self._state:
            self._state.close()
        if problem:
            raise EmulatorError(problem)

    def wait(self) -> None:
        """Wait until the process ends by itself. Raises EmulatorError then."""
        assert self._process is not None
        self._process.wait()
        raise EmulatorError(f"The emulator ended. Its log ends:\n{self.last_log_lines()}")

    def last_log_lines(self, count: int = 20) -> str:
        """Return the last lines of the log."""
        if self._folder is None or not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-count:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self) -> None:
        self._folder = PrivateFolder()
        self._write_certificates()
        scratch = self.folder / "tmp"
        scratch.mkdir()
        # The child inherits a bound socket, so that no other process can take the port in between.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, self.log_path.open("wb") as log:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((_HOST, self._port))
            except OSError as error:
                raise EmulatorError(f"Port {self._port}: {error.strerror}. Choose another port.") from None
            self._port = int(listener.getsockname()[1])
            kept = {}
            if self._state:
                self._state.port = self._port
                kept = {"COATCHECK_STATE": str(self._state.folder), "STATE_DIR": str(self._state.folder / "functions")}
            environment = {
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
                "LANG": "C.UTF-8",
                "TZ": "UTC",
                "HOME": str(scratch),
                "TMPDIR": str(scratch),
                "PYTHONUNBUFFERED": "1",
                "AUTH": "true",
                "AWS_SECRET_ACCESS_KEY": self.secret,
                "SERVICES": ",".join(SERVICES),
                "USE_SSL": "1",
                # Without the key, because ministack copies this file into a CA bundle.
                "MINISTACK_SSL_CERT": str(self.folder / "server-chain.pem"),
                "MINISTACK_SSL_KEY": str(self.server_certificate),
                # Functions inherit these two, so that SDKs in a function trust the emulator's certificate.
                "AWS_CA_BUNDLE": str(self.ca_bundle),
                "NODE_EXTRA_CA_CERTS": str(self.ca_bundle),
                # Lambda's Node runtime has the AWS SDK, which CDK's function that empties buckets imports.
                "NODE_PATH": str(_REPOSITORY / "node_modules"),
                **({"COATCHECK_IMAGES": "1"} if self._images else {}),
                **kept,
                "BIND_HOST": _HOST,
                "GATEWAY_PORT": str(self._port),
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                # No container engine, even where one is installed, so that every machine behaves the same.
                "DOCKER_HOST": f"unix://{self.folder}/no-container-engine.sock",
            }
            arguments = [sys.executable, "-m", "local.emulator_process", "--socket", str(listener.fileno())]
            self._process = subprocess.Popen(
                arguments if self._patched else [*arguments, "--unpatched"],
                cwd=_REPOSITORY,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno(), self._folder.fileno()],
                start_new_session=True,
            )

    def _write_certificates(self) -> None:
        """Write the certificates of this run. The authority's key stays in memory, so that it can issue no others."""
        authority = trustme.CA(organization_name="coatcheck local authority")
        expiry = datetime.now(UTC) + _CERTIFICATE_LIFETIME
        server = authority.issue_cert(_HOST, "localhost", not_after=expiry)
        sns = authority.issue_cert("sns.amazonaws.com", not_after=expiry, key_type=trustme.KeyType.RSA)
        authority.cert_pem.write_to_path(self.ca_bundle)
        server.private_key_and_cert_chain_pem.write_to_path(self.server_certificate)
        server.cert_chain_pems[0].write_to_path(self.folder / "server-chain.pem")
        sns.cert_chain_pems[0].write_to_path(self.sns_certificate)
        sns.private_key_pem.write_to_path(self.sns_key)

    def _wait_until_healthy(self) -> None:
        context = ssl.create_default_context(cafile=str(self.ca_bundle))
        # The user's proxy settings are for other machines.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise EmulatorError(f"The emulator exited while starting. Its log ends:\n{self.last_log_lines()}")
            try:
                with opener.open(f"{self.endpoint}/_ministack/health", timeout=2.0) as response:
                    if response.status == 200:
                        return
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)
        raise EmulatorError(
            f"The emulator did not respond within {_START_SECONDS:.0f} s. Its log ends:\n{self.last_log_lines()}"
        )


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM if all members are zombies
        os.killpg(group, number)
