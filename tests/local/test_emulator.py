"""The emulator's process: its sockets, its certificates, and its end without remains."""

import itertools
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from local.accounts import Accounts
from local.emulator import Emulator, EmulatorError
from tests.local.support import PUBLISHER, Account, eventually, interruptible, processes

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def _listening(processes: set[int]) -> set[tuple[str, int]]:
    """Return (address in hex, port) of every TCP or UDP socket on which these processes listen."""
    inodes = set()
    for process in processes:
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            try:
                inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
            except FileNotFoundError:
                continue
    sockets = set()
    for table, listening in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == listening and rest[5] in inodes:
                address, _, port = local.partition(":")
                sockets.add((address, int(port, 16)))
    return sockets


@pytest.mark.system
def test_port_is_the_callers_or_an_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for _ in range(2):  # the port is free again at once
        with Emulator(port=port) as emulator:
            assert emulator.endpoint == f"https://127.0.0.1:{port}"
            with pytest.raises(EmulatorError, match=f"Port {port}: Address already in use"):
                Emulator(port=port).start()


_LOOPBACK = "0100007F"
_LIST_VARIABLES = "import os\n\ndef handler(event, context):\n    return sorted(os.environ)\n"


@pytest.mark.system
@linux
def test_emulator_opens_one_socket_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_USER", "value")
    with Emulator() as emulator:
        account = Account(Accounts(emulator), PUBLISHER)
        account.client("s3").put_object(Bucket=account.bucket(), Key="key", Body=b"x" * (5 << 20))
        environment = account.invoke(account.function(_LIST_VARIABLES))
        group, folder = emulator.pid, emulator.folder

        assert len(processes(group)) == 2  # the emulator and the function's warm process
        assert _listening(processes(group)) == {(_LOOPBACK, emulator.port)}
        assert "OF_THE_USER" not in environment

    assert processes(group) == set()
    assert not folder.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", emulator.port)) != 0


_PARENT = """
import sys, time
from local.emulator import Emulator
with Emulator() as emulator:
    print(emulator.pid, emulator.folder, flush=True)
    time.sleep(60)
"""


@pytest.mark.system
@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_emulator_ends_with_its_parent(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=interruptible,
    ) as parent:
        assert parent.stdout is not None
        group, folder = parent.stdout.readline().split()
        assert processes(int(group))
        parent.send_signal(number)
    assert parent.returncode, "the parent was not stopped by the signal"

    eventually(lambda: not processes(int(group)))
    eventually(lambda: not Path(folder).exists())


@pytest.mark.system
@linux
def test_local_accounts_end_with_the_emulator(tmp_path: Path) -> None:
    """When the emulator is killed, `coatcheck local` reports it, and no process or file remains."""
    command = [sys.executable, "-c", "from cli.main import main; main(['local'])"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True) as local:
        assert local.stdout is not None
        lines = itertools.takewhile(lambda line: "no_proxy" not in line, local.stdout)
        (unset,) = (line for line in lines if line.startswith("unset"))
        emulator = Path(f"/proc/{local.pid}/task/{local.pid}/children").read_text().strip()
        os.kill(int(emulator), signal.SIGKILL)
        _, errors = local.communicate(timeout=20)

    assert local.returncode == 1
    assert "The emulator ended" in errors
    users = {"PATH": os.environ["PATH"], "AWS_PROFILE": "p", "AWS_ENDPOINT_URL_S3": "https://a.example/x=y"}
    assert (
        "AWS" not in subprocess.run(["sh", "-c", f"{unset}\nenv"], env=users, stdout=-1, text=True, check=True).stdout
    )
    assert not processes(int(emulator))
    assert not list(tmp_path.iterdir())


@pytest.mark.system
def test_failed_start_shows_log_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho No ministack; exit 1\n")
    python.chmod(0o700)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))

    with pytest.raises(EmulatorError, match=r"exited while starting(.|\n)*No ministack"):
        Emulator().start()

    assert list((tmp_path / "tmp").iterdir()) == []


def _tls_version(emulator: Emulator, name: str, context: ssl.SSLContext) -> str | None:
    """Connect to the emulator as a host name and return the TLS version."""
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection(("127.0.0.1", emulator.port)) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return secure.version()


@pytest.mark.system
def test_certificate_passes_strict_verification(emulator: Emulator) -> None:
    for name in ("127.0.0.1", "localhost"):
        assert _tls_version(emulator, name, ssl.create_default_context(cafile=emulator.ca_bundle)) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        _tls_version(emulator, "example.org", ssl.create_default_context(cafile=emulator.ca_bundle))
    other_run = ssl.create_default_context()
    trustme.CA().configure_trust(other_run)
    with pytest.raises(ssl.SSLCertVerificationError):
        _tls_version(emulator, "localhost", other_run)


@pytest.mark.system
def test_private_keys_are_in_a_private_folder(emulator: Emulator) -> None:
    assert emulator.folder.stat().st_mode & 0o077 == 0
    keys = {path.name for path in emulator.folder.glob("*.pem") if b"PRIVATE KEY" in path.read_bytes()}
    assert keys == {"server.pem", "sns-key.pem"}  # and not the authority's


def test_stopped_emulator_has_no_folder() -> None:
    emulator = Emulator()

    emulator.stop()
    for name in ("folder", "pid", "ca_bundle", "log_path"):
        with pytest.raises(EmulatorError, match="call start"):
            getattr(emulator, name)
