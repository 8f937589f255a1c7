"""A sample HTTPS endpoint with Flask. Copy this file, and replace `Received` with the application's storage.

    flask --app applications.https_endpoint run              receive notifications, behind a server that terminates TLS
    python -m applications.https_endpoint                    receive undelivered messages from their queue

It responds 200 to SNS after the payload is stored on disk. Environment variables: TOPIC_ARN, TRUSTED_STORES and, for
undelivered messages, UNDELIVERED_QUEUE_URL are outputs of the subscriber's stack. RECEIVED is a folder. boto3's
credentials must be those of the stack's reader role.
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

RESPONSE_SECONDS = 10.0
"""SNS waits 15 seconds for a response, then counts the attempt as failed."""
MAXIMUM_BODY_BYTES = 2 * 2**20
"""Maximum size of a request. A notification of SNS is smaller, because large payloads are in S3."""


class Received:
    """A folder with each payload under its notification's id, and a JSON receipt next to each complete payload.

    SNS can post a notification several times. Its id is signed, and the same each time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(4)
        self._reading: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    def store(self, delivery: Delivery) -> None:
        """Read the payload in constant memory, unless it is stored already.

        Raises:
            TimeoutError: reading takes longer than SNS waits. It continues, and a later call finds the stored payload.
            ClaimCheckError: the payload cannot be read, or differs from the message.
        """
        identity = str(UUID(delivery.id))
        with self._lock:
            reading = self._reading.get(identity)
            if reading is None:
                reading = self._reading[identity] = self._pool.submit(self._read, identity, delivery)
                reading.add_done_callback(lambda _: self._reading.pop(identity, None))
        reading.result(timeout=RESPONSE_SECONDS)

    def _read(self, identity: str, delivery: Delivery) -> None:
        message, receipt = delivery.message, self._folder / f"{identity}.json"
        if message is None or receipt.exists():
            return
        digest = message.payload.download_to(self._folder / identity)
        content = {"message_id": message.id, "bytes": digest.size, "sha256": digest.sha256, "subject": message.subject}
        partial = receipt.with_suffix(".part")
        partial.write_text(json.dumps(content))
        partial.replace(receipt)


def create_app(endpoint: Endpoint | None = None, received: Received | None = None) -> Flask:
    """Create the application. Its defaults are read from the environment."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAXIMUM_BODY_BYTES  # 413
    endpoint, received = endpoint or _endpoint(), received or _received()

    # 403 is for requests that SNS did not send, and 503 for every other error, permanent or transient: SNS retries for
    # an hour, then writes the message to the undelivered queue. The SNS guide contradicts itself about 4xx responses.
    @app.post("/<path:_>")
    def receive(_: str) -> tuple[dict[str, str], int]:
        try:
            delivery = endpoint.receive(request.get_data(), dict(request.headers))
            received.store(delivery)
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


def receive_undelivered(queue_url: str, *, endpoint: Endpoint, received: Received, sqs: Any) -> int:
    """Store the payloads of undelivered messages and return their number. A message that fails stays in the queue.

    The endpoint's window must be as long as the queue's retention.
    """
    stored = 0
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            try:
                received.store(endpoint.receive(message["Body"].encode()))
            except (ClaimCheckError, TimeoutError) as error:
                print(f"stays in the queue: {error}")
                continue
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            stored += 1
    return stored


def _endpoint(window: timedelta = WINDOW) -> Endpoint:
    stores = map(Store.from_dict, json.loads(os.environ["TRUSTED_STORES"]))
    return Endpoint(topics=[os.environ["TOPIC_ARN"]], dereferencer=Dereferencer(stores=stores), window=window)


def _received() -> Received:
    return Received(Path(os.environ["RECEIVED"]))


if __name__ == "__main__":
    import boto3

    queue = os.environ["UNDELIVERED_QUEUE_URL"]
    client = boto3.client("sqs", region_name=queue.split(".")[1])
    print(receive_undelivered(queue, endpoint=_endpoint(window=timedelta(days=15)), received=_received(), sqs=client))
