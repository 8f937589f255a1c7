"""The environment of commands: hostile variables of the user have no effect, and no request uses them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.environment import ROOT, environment

HOSTILE = """
AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL_STS HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy = url
all_proxy DOCKER_HOST UV_INDEX_URL PIP_INDEX_URL npm_config_registry AWS_CONTAINER_CREDENTIALS_FULL_URI = url
AWS_EC2_METADATA_SERVICE_ENDPOINT AWS_CONTAINER_AUTHORIZATION_TOKEN = url
AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION AWS_DEFAULT_PROFILE = hostile
AWS_PROFILE CDK_DEFAULT_ACCOUNT CDK_DEFAULT_REGION CDK_CONTEXT_JSON CDK_DEBUG JSII_DEBUG JSII_RUNTIME SERVICES = hostile
AWS_CA_BUNDLE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS BOTO_CONFIG = /nowhere
TMPDIR NODE_PATH CDK_OUTDIR CDK_HOME JSII_NODE GIT_DIR GIT_CONFIG_GLOBAL RUFF_CONFIG MYPYPATH LD_LIBRARY_PATH = /nowhere
NODE_OPTIONS = --require=/nowhere.js
PYTEST_ADDOPTS = --collect-only --hostile
PYTHONHOME = /nowhere
PYTHONPATH = home
PYTHONSTARTUP PYTHONINSPECT PYTHONBREAKPOINT PYTHONWARNINGS PYTHONPLATLIBDIR = error
FILE SIZE DEPLOYMENT ARGUMENTS SEED MESSAGES RATE MAKEFLAGS_ = hostile
HOME = home
"""
"""Names of variables, and their value."""

_PROFILES = """
[default]
credential_process = touch {home}/hostile
endpoint_url = {url}
[profile hostile]
credential_process = touch {home}/hostile
"""


class Listener:
    """A server on 127.0.0.1 that records the first bytes of each connection."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection:
                received = connection.recv(200)
                if received == b"stop":
                    return
                self.heard.append(received)

    def stop(self) -> None:
        with socket.create_connection(self._server.getsockname()) as connection:
            connection.sendall(b"stop")
        self._thread.join()
        self._server.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.stop()


@pytest.fixture
def hostile(tmp_path: Path, listener: Listener) -> dict[str, str]:
    """The variables of a user: credentials, proxies and options, and a home folder with such files."""
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    for name in ("config", "credentials"):
        (home / ".aws" / name).write_text(_PROFILES.format(home=home, url=listener.url))
    (home / ".cdk.json").write_text(f'{{"output": "{home}/hostile", "profile": "hostile", "proxy": "{listener.url}"}}')
    (home / "sitecustomize.py").write_text(f"open({str(home / 'hostile')!r}, 'w')")
    (home / "botocore.py").write_text("raise SystemExit('hostile')")
    values = {"url": listener.url, "home": str(home)}
    lines = (line.partition(" = ") for line in HOSTILE.strip().splitlines())
    variables = {name: values.get(value, value) for names, _, value in lines for name in names.split()}
    return {**variables, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def _dry_run(target: str, variables: dict[str, str]) -> list[str]:
    """Return the commands of a target of the Makefile. The installations count as complete."""
    installed = ("--old-file=.venv/installed", "--old-file=build/checkov/installed")
    make = ["make", "--silent", "--dry-run", *installed, target]
    ended = subprocess.run(make, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    return [each.strip() for each in re.split(r"\n|&&|;", ended.stdout.strip()) if not each.strip().startswith("rm ")]


def _isolated() -> list[str]:
    command, _, _ = _dry_run("types", dict(os.environ))[0].partition(" mypy")
    return command.split()


def _assert_no_effect(command: str | list[str], listener: Listener, hostile: dict[str, str]) -> str:
    """Run a command that succeeds without a request to the listener and without the user's files. Return its output."""
    shell = isinstance(command, str)
    ended = subprocess.run(command, shell=shell, cwd=ROOT, env=hostile, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert listener.heard == []
    assert not (Path(hostile["HOME"]) / "hostile").exists()
    return ended.stdout


@pytest.mark.parametrize("target", ["demo", "local", "synth", "test", "check", "faults", "docs", "format"])
def test_every_command_of_a_target_is_isolated(target: str) -> None:
    for command in _dry_run(target, dict(os.environ)):
        assert command.removeprefix("exec ").split()[:3] == [".venv/bin/python", "-I", "local/environment.py"]


def test_values_in_the_users_shell_are_ignored(hostile: dict[str, str]) -> None:
    make = ["make", "--silent", "--old-file=.venv/installed", "--eval=show: ; @echo $$FILE$$SIZE$$SEED", "show"]
    assert subprocess.run(make, cwd=ROOT, env=hostile, capture_output=True, text=True, check=True).stdout == "\n"
    ended = subprocess.run([*make, "FILE=a b"], cwd=ROOT, env=hostile, capture_output=True, text=True, check=True)
    assert ended.stdout == "a b\n"


@pytest.mark.parametrize("command", ["make synth --old-file=.venv/installed", "tools/install"])
def test_read_only_checkout_is_one_sentence(command: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "Makefile", folder)
        shutil.copytree(ROOT / "tools", Path(folder) / "tools")
        Path(folder).chmod(0o555)
        user: dict[str, Any] = {"user": 65534} if os.geteuid() == 0 else {}  # root may write anywhere
        ended = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=False, **user)
        Path(folder).chmod(0o755)
    assert ended.returncode in (1, 2)
    (line,) = ended.stderr.strip().splitlines()
    assert re.search(rf"{folder}(/cdk\.out)? cannot be written.*(--output DIR|copy the project)", line)


def test_environment_has_no_hostile_variable(hostile: dict[str, str]) -> None:
    made = environment(hostile)

    assert {name for name in hostile if made.get(name) == hostile[name]} == {"HOME", "LANG"}
    assert (made["AWS_CONFIG_FILE"], made["AWS_SHARED_CREDENTIALS_FILE"]) == (os.devnull, os.devnull)
    assert made["PATH"].split(os.pathsep)[0] == str(ROOT / ".venv" / "bin")


def test_makefile_starts_commands_in_the_environment(listener: Listener, hostile: dict[str, str]) -> None:
    """It is the one that commands make for themselves, and hostile variables of Python have no effect before it."""
    command = [*_isolated(), "python", "-c", "import json, os; print(json.dumps(dict(os.environ)))"]

    assert json.loads(_assert_no_effect(command, listener, hostile)) == environment(hostile)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["-c", "from cli.main import main; main(['check', 'deployments/example.toml'])"], id="check"),
        pytest.param(["-c", "from cli.main import main; main(['access'])"], id="access"),
        pytest.param(["-m", "pytest", "-q", "-pno:cacheprovider", "tests/cli/redrive"], id="test"),
        pytest.param(["-c", "from cli.main import main; main(['demo'])"], id="demo"),
    ],
)
def test_hostile_environment_has_no_effect(listener: Listener, hostile: dict[str, str], command: list[str]) -> None:
    """A command that is called directly sets the environment itself, with the variables that Python has not read."""
    unread = {name: value for name, value in hostile.items() if not name.startswith(("PYTHON", "PYTEST_"))}

    _assert_no_effect([sys.executable, *command], listener, unread)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("target", "files"), [("lint", ""), ("spelling", ""), ("types", "local/environment.py"), ("imports", "")]
)
def test_checks_ignore_a_hostile_environment(
    target: str, files: str, listener: Listener, hostile: dict[str, str]
) -> None:
    for command in _dry_run(target, hostile):
        _assert_no_effect(f"{command} {files}", listener, hostile)


@pytest.mark.exhaustive
def test_synthesis_ignores_a_hostile_environment(listener: Listener, hostile: dict[str, str], tmp_path: Path) -> None:
    (synthesize,) = _dry_run("synth", hostile)
    command = f"{synthesize} --output {tmp_path / 'out'}"

    _assert_no_effect(command, listener, {**hostile, "DEPLOYMENT": ""})  # as make sets it

    assert (tmp_path / "out" / "manifest.json").exists()
