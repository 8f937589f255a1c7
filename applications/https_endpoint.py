"""An HTTPS endpoint, with Flask: SNS posts a message, its payload is put on disk, and only then SNS is told so.

    flask --app applications.https_endpoint run              receive; behind a server that speaks TLS
    python -m applications.https_endpoint                    take what SNS could not deliver meanwhile

Both read from the environment TOPIC_ARN, TRUSTED_STORES and, the latter, REDRIVE_QUEUE_URL, which are outputs of the
subscriber's stack, and RECEIVED, a folder. They read payloads with the credentials that boto3 finds: give them a
profile that assumes the stack's reader role.
"""

import json
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Flask, request

from claim_check import ClaimCheckError, Dereferencer, Store, UntrustedNotification
from claim_check.https import WINDOW, Delivery, Endpoint

ANSWER_WITHIN = 10.0
"""Seconds. SNS waits 15 for an answer, and takes none for a failure."""
LONGEST_BODY = 2 * 2**20
"""Bytes. What SNS posts is smaller; a payload never comes this way."""


class Received:
    """A folder with each payload under its notification's id and, once that is whole, what is known of it beside it, as
    JSON. Notifications come more than once; the id is signed and the same each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(4)
        self._reading: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    def keep(self, delivery: Delivery) -> None:
        """Read the payload, in constant memory, unless it is there already.

        Raises TimeoutError when that takes longer than an answer may: reading goes on, ask again. Raises
        ClaimCheckError.
        """
        identity = str(UUID(delivery.id))
        with self._lock:
            reading = self._reading.get(identity)
            if reading is None:
                reading = self._reading[identity] = self._pool.submit(self._read, identity, delivery)
                reading.add_done_callback(lambda _: self._reading.pop(identity, None))
        reading.result(timeout=ANSWER_WITHIN)

    def _read(self, identity: str, delivery: Delivery) -> None:
        message, receipt = delivery.message, self._folder / f"{identity}.json"
        if message is None or receipt.exists():
            return
        digest = message.payload.download_to(self._folder / identity)
        known = {"message_id": message.id, "bytes": digest.size, "sha256": digest.sha256, "subject": message.subject}
        partial = receipt.with_suffix(".part")
        partial.write_text(json.dumps(known))
        partial.replace(receipt)


def create_app(endpoint: Endpoint | None = None, received: Received | None = None) -> Flask:
    """The application; without arguments as the environment says."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = LONGEST_BODY  # 413
    endpoint, received = endpoint or _endpoint(), received or _received()

    # 403 for what SNS did not send. 503 for whatever else fails, hopeless or not: SNS posts it again for an hour, and
    # then keeps it in the redrive queue. Whether it keeps what is answered with a 4xx, its own documentation is of two
    # minds.
    @app.post("/<path:_>")
    def receive(_: str) -> tuple[dict[str, str], int]:
        try:
            delivery = endpoint.receive(request.get_data(), dict(request.headers))
            received.keep(delivery)
        except UntrustedNotification as error:
            app.logger.warning("%s", error)
            return {"error": "not a notification for this endpoint"}, 403
        except TimeoutError:
            return {"error": "still reading the payload"}, 503
        except ClaimCheckError as error:
            app.logger.warning("%s", json.dumps(error.record()))
            return {"error": type(error).__name__}, 503
        return {"received": delivery.kind}, 200

    return app


def take_undelivered(queue_url: str, *, endpoint: Endpoint, received: Received, sqs: Any) -> int:
    """Receive what SNS could not deliver and put into the redrive queue; answers how many. What fails stays there.

    Give it an endpoint with a window as long as that queue keeps messages."""
    taken = 0
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            try:
                received.keep(endpoint.receive(message["Body"].encode()))
            except (ClaimCheckError, TimeoutError) as error:
                print(f"stays in the queue: {error}")
                continue
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            taken += 1
    return taken


def _endpoint(window: timedelta = WINDOW) -> Endpoint:
    stores = map(Store.from_dict, json.loads(os.environ["TRUSTED_STORES"]))
    return Endpoint(topics=[os.environ["TOPIC_ARN"]], dereferencer=Dereferencer(stores=stores), window=window)


def _received() -> Received:
    return Received(Path(os.environ["RECEIVED"]))


if __name__ == "__main__":
    import boto3

    queue = os.environ["REDRIVE_QUEUE_URL"]
    client = boto3.client("sqs", region_name=queue.split(".")[1])
    print(take_undelivered(queue, endpoint=_endpoint(window=timedelta(days=15)), received=_received(), sqs=client))
