r"""An HTTPS endpoint on this machine: `applications/https_endpoint.py` behind TLS, as the process of a subscriber.

    python -m local.https_endpoint_process --sns https://127.0.0.1:4566 --signing-certificate sns.pem \
        --tls chain.pem key.pem

What the endpoint would get from SNS over the internet, its certificate and the confirmation of a subscription, it gets
from that file and that address. Prints its port when it listens, and ends when its standard input does. All else is as
in the example, its environment too.
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sns", required=True, help="where this machine's SNS answers")
    parser.add_argument("--signing-certificate", type=Path, required=True, help="of this machine's SNS, PEM")
    parser.add_argument(
        "--tls", nargs=2, required=True, metavar=("CHAIN", "KEY"), help="the server's own certificate, PEM"
    )
    arguments = parser.parse_args()

    web = urllib3.PoolManager(ca_certs=os.environ.get("AWS_CA_BUNDLE"), timeout=5.0, retries=False)

    def fetch(url: str) -> bytes:
        asked = urlsplit(url)
        if asked.path.endswith(".pem"):
            return bytes(arguments.signing_certificate.read_bytes())
        # The host says which Region is asked.
        answer = web.request("GET", f"{arguments.sns}/?{asked.query}", headers={"Host": asked.netloc})
        if answer.status != 200:
            raise OSError(f"SNS answered {answer.status}")
        return answer.data

    stores = map(Store.from_dict, json.loads(os.environ["TRUSTED_STORES"]))
    endpoint = Endpoint(topics=[os.environ["TOPIC_ARN"]], dereferencer=Dereferencer(stores=stores), fetch=fetch)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*arguments.tls)
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
