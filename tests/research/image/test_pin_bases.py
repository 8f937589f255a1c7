"""Digests of base images, from a registry on this machine that requires tokens."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from stacks.deployment.base_images import base_images, unpinned
from tools.pin_bases import NoDigest, _parts, digest, pin

DIGEST = f"sha256:{'5' * 64}"
BASES = """\
# A comment.
[FIRST]
image = "{host}/a/python:3.11"   # the first
digest = ""
support_ends = 2027-10-31

[SECOND]
image = "{host}/a/python:3.11"
digest = "sha256:{old}"
"""


class Registry(BaseHTTPRequestHandler):
    """Has one image, `a/python:3.11`."""

    def do_GET(self) -> None:
        assert self.path == "/token?service=here&scope=repository%3Aa%2Fpython%3Apull"
        self._respond(200, {}, json.dumps({"token": "secret"}).encode())

    def do_HEAD(self) -> None:
        if self.headers.get("Authorization") != "Bearer secret":
            host = self.headers["Host"]
            challenge = f'Bearer realm="http://{host}/token",service="here",scope="repository:a/python:pull"'
            self._respond(401, {"WWW-Authenticate": challenge})
        elif self.path != "/v2/a/python/manifests/3.11":
            self._respond(404, {})
        else:
            assert "application/vnd.oci.image.index.v1+json" in self.headers["Accept"]
            self._respond(200, {"Docker-Content-Digest": DIGEST})

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""

    def _respond(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_digests_are_written_into_the_file(host: str, tmp_path: Path) -> None:
    file = tmp_path / "bases.toml"
    file.write_text(BASES.format(host=host, old="0" * 64))
    assert list(unpinned(base_images(file))) == ["FIRST"]
    _, second = pin(file, scheme="http")
    assert second.endswith(f"{DIGEST}, before sha256:{'0' * 64}")
    assert {base.digest for base in base_images(file).values()} == {DIGEST}
    assert not unpinned(base_images(file))
    assert base_images(file)["FIRST"].reference == f"{host}/a/python:3.11@{DIGEST}"
    assert file.read_text().startswith("# A comment.\n")


def test_missing_tag_is_an_error(host: str) -> None:
    with pytest.raises(NoDigest, match=r"a/python:4: HTTP Error 404.*Check its name and tag"):
        digest(f"{host}/a/python:4", scheme="http")


def test_error_without_a_network_has_the_remedy() -> None:
    with pytest.raises(NoDigest, match=r"127\.0\.0\.1:1 cannot be reached: .*HTTPS_PROXY.* into .*bases\.toml"):
        digest("127.0.0.1:1/a/python:3.11")


def test_address_of_tokens_is_not_downgraded(host: str) -> None:
    """A registry reached over TLS must not name a server without TLS."""
    with pytest.raises(NoDigest):
        digest(f"{host}/a/python:3.11")


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("public.ecr.aws/docker/library/python:3", ("public.ecr.aws", "docker/library/python", "3")),
        ("cumulusprod/pegasus-terra:1.0", ("registry-1.docker.io", "cumulusprod/pegasus-terra", "1.0")),
        ("localhost/python:3", ("localhost", "python", "3")),
    ],
)
def test_name_without_host_is_of_docker_hub(image: str, parts: tuple[str, str, str]) -> None:
    assert _parts(image) == parts
