"""The packages of the default image, in a virtual environment. The Dockerfile's other commands are not run.

The environment is installed once for each version of the pins (minutes, 900 MB).
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.environment import ROOT

pytestmark = pytest.mark.image
PEGASUS = ROOT / "research" / "image" / "pegasus"
PORT = 8888
BASE = f"http://127.0.0.1:{PORT}/jupyterlab/default"


@pytest.fixture(scope="module", params=["private", "shared"])
def space(request: pytest.FixtureRequest) -> str:
    """The kind of the space."""
    return str(request.param)


@pytest.fixture(scope="module")
def jupyterlab(space: str, environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab that the image's start script started on loopback."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            pytest.skip(f"another process listens on port {PORT}")
    home = tmp_path_factory.mktemp("home")
    log = (home / "log").open("wb")
    server = subprocess.Popen(
        [PEGASUS / "start-jupyterlab", "--allow-root"],
        env={
            "PATH": f"{PEGASUS}:{environment / 'bin'}:{os.environ['PATH']}",
            "HOME": str(home),
            "RESEARCH_PREFIX": str(environment),
            "JUPYTERLAB_IP": "127.0.0.1",
            "SAGEMAKER_APP_TYPE_LOWERCASE": "jupyterlab",
            "SAGEMAKER_SPACE_TYPE_LOWERCASE": space,
        },
        cwd=home,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait(server, home / "log")
        yield BASE
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def _wait(server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(120):
        assert server.poll() is None, log.read_text()
        try:
            get(f"{BASE}/api")
        except urllib.error.URLError:
            time.sleep(1)
        else:
            return
    pytest.fail(log.read_text())


def get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as response:
        body = response.read()
    assert isinstance(body, bytes)
    return body


def test_pegasus_has_the_pinned_version(environment: Path) -> None:
    code = "import pegasus, importlib.metadata as m; print(m.version('pegasuspy'), bool(pegasus.qc_metrics))"
    printed = subprocess.run(
        [environment / "bin" / "python", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed.split() == ["1.10.2", "True"]


def test_packages_are_compatible(environment: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "pip", "check", "--quiet", "--python", environment / "bin" / "python"], check=True)


def test_jupyterlab_has_the_address_of_studio(jupyterlab: str) -> None:
    assert b"JupyterLab" in get(f"{jupyterlab}/lab")


def test_documents_are_edited_together_in_shared_spaces(space: str, jupyterlab: str) -> None:
    assert f'"disableRTC": {str(space != "shared").lower()}'.encode() in get(f"{jupyterlab}/lab")


def test_jupyterlab_reports_its_idle_time(jupyterlab: str) -> None:
    assert json.loads(get(f"{jupyterlab}/api/idle"))["lastActiveTimestamp"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://abcdefg12345.studio.us-east-1.sagemaker.aws", 101),
        ("https://abcdefg12345.studio.cn-north-1.sagemaker.com.cn", 101),
        ("https://abcdefg12345.studio.us-east-1.sagemaker.aws.example.com", 403),
        ("https://example.com/?x=.studio.us-east-1.sagemaker.aws", 403),
        ("http://abcdefg12345.studio.us-east-1.sagemaker.aws", 403),
        ("https://studioXus-east-1.sagemaker.aws", 403),
    ],
)
def test_connections_come_from_pages_of_studio(jupyterlab: str, origin: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Origin": origin,
    }
    connection.request(
        "GET", f"{jupyterlab.removeprefix(f'http://127.0.0.1:{PORT}')}/api/events/subscribe", None, headers
    )
    assert connection.getresponse().status == status
    connection.close()


def test_kernel_is_named_python3(jupyterlab: str) -> None:
    assert "python3" in json.loads(get(f"{jupyterlab}/api/kernelspecs"))["kernelspecs"]
