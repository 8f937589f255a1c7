"""What a task runs, once for each message: reads the payload as it streams by, checks it, and says what it was.

The subscriber's function says in the environment where the payload is and what it has to be: MESSAGE_ID,
PAYLOAD_BUCKET, PAYLOAD_KEY, PAYLOAD_BYTES and PAYLOAD_SHA256 (hex). The task definition says in TRUSTED_STORES where
payloads can be, a JSON list of what `claim_check.Store.from_dict` takes: the publisher's store, by a replica nearby
where there is one, and the subscriber's inbox.

Ends with 0 and a line of JSON; with 1 and why the payload could not be used; with 2 and what is wrong in the
environment.
"""

import json
import os
import sys
from collections.abc import Mapping

from claim_check import ClaimCheckError, Dereferencer, Payload, Pointer, Store


def use(payload: Payload) -> dict[str, object]:
    """The place for your code: it answers what is to be said of the payload, JSON-ready.

    Only at its end is a payload known to be whole, and the one that was sent: act on it after `download_to` or
    `verify` has returned, or `iter_chunks` or `open` has given the last byte, all in constant memory.
    """
    digest = payload.verify()
    return {"bytes": digest.size, "sha256": digest.sha256}


def described(environment: Mapping[str, str]) -> Payload:
    """The payload that the environment describes. Calls no service.

    Raises KeyError, ValueError or ClaimCheckError.
    """
    stores = [Store.from_dict(store) for store in json.loads(environment["TRUSTED_STORES"])]
    return Dereferencer(stores=stores).payload(
        Pointer(environment["PAYLOAD_BUCKET"], environment["PAYLOAD_KEY"]),
        size=int(environment["PAYLOAD_BYTES"]),
        message_id=environment["MESSAGE_ID"],
        sha256=environment["PAYLOAD_SHA256"],
    )


def main() -> int:
    """The exit code."""
    try:
        payload = described(os.environ)
    except KeyError as missing:
        print(
            f"{missing.args[0]} is not in the environment; the subscriber's function or the task definition sets it",
            file=sys.stderr,
        )
        return 2
    except (ValueError, ClaimCheckError) as error:
        print(f"the environment describes no payload: {error}", file=sys.stderr)
        return 2
    try:
        said = use(payload)
    except ClaimCheckError as error:
        print(json.dumps(error.record()), file=sys.stderr)
        return 1
    print(json.dumps({"message_id": os.environ["MESSAGE_ID"], **said}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
