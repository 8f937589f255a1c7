r"""A subscriber's HTTPS endpoint on this machine: `applications/https_endpoint.py` with TLS.

    python -m local.https_endpoint_process --sns https://127.0.0.1:4566 --signing-certificate sns.pem \
        --server-certificate server.pem

The endpoint reads SNS's signing certificate from a file and confirms its subscription at a local address, instead of
over the internet. All other code and the environment variables are the application's. The process prints its port
when it listens, and ends when its standard input closes.
"""

from __future__ import annotations

import argparse
import json
import os
import ssl
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from werkzeug.serving import make_server

from applications.https_endpoint import Received, create_app
from claim_check import Dereferencer, Store
from claim_check.https import Endpoint


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sns", required=True, help="URL of the SNS endpoint that confirms subscriptions")
    parser.add_argument("--signing-certificate", type=Path, required=True, help="certificate of SNS's signatures, PEM")
    parser.add_argument("--server-certificate", type=Path, required=True, help="server certificate and key, PEM")
    arguments = parser.parse_args()

    web = urllib3.PoolManager(ca_certs=os.environ.get("AWS_CA_BUNDLE"), timeout=5.0, retries=False)

    def fetch(url: str) -> bytes:
        parts = urlsplit(url)
        if parts.path.endswith(".pem"):
            return bytes(arguments.signing_certificate.read_bytes())
        response = web.request("GET", f"{arguments.sns}/?{parts.query}")
        if response.status != 200:
            raise OSError(f"SNS responded with status {response.status}")
        return response.data

    stores = map(Store.from_dict, json.loads(os.environ["TRUSTED_STORES"]))
    endpoint = Endpoint(topics=[os.environ["TOPIC_ARN"]], dereferencer=Dereferencer(stores=stores), fetch=fetch)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.server_certificate)
    app = create_app(endpoint, Received(Path(os.environ["RECEIVED"])))
    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context)
    print(server.server_port, flush=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    server.serve_forever()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
