"""The certificate: what clients check of it."""

import socket
import ssl
import threading
from pathlib import Path

import pytest

from local.certificate import create_certificate


def _connect(folder: Path, server_name: str, authority: Path) -> str:
    """The TLS version agreed with a server that has the certificate of `folder`, by a client as strict as can be."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    client = ssl.create_default_context(cafile=str(authority))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as accepted:
                accepted.send(b"x")
        except ssl.SSLError:
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=server_name) as connected:
            connected.recv(1)
            return connected.version() or ""
    finally:
        ours.close()
        thread.join()
        theirs.close()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_strict_client_takes_it(tmp_path: Path, name: str) -> None:
    certificate = create_certificate(tmp_path)

    assert _connect(tmp_path, name, certificate.authority) == "TLSv1.3"


def test_it_is_for_no_other_name(tmp_path: Path) -> None:
    certificate = create_certificate(tmp_path)

    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        _connect(tmp_path, "example.org", certificate.authority)


def test_another_runs_authority_does_not_vouch_for_it(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        folder.mkdir()
        create_certificate(folder)

    with pytest.raises(ssl.SSLCertVerificationError):
        _connect(mine, "127.0.0.1", other / "authority.pem")


def test_others_cannot_read_the_key(tmp_path: Path) -> None:
    certificate = create_certificate(tmp_path)

    assert certificate.key.stat().st_mode & 0o077 == 0
