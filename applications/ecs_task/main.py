"""The default program of a subscriber's ECS task, which runs once for each message. Replace `process` with your code.

The consume function sets MESSAGE_ID, PAYLOAD_BUCKET, PAYLOAD_KEY, PAYLOAD_OWNER, PAYLOAD_REGION and PAYLOAD_BYTES in
the task's environment, and the payload's checksums, as far as they are known: PAYLOAD_SHA256 (hex), PAYLOAD_CRC64NVME
and PAYLOAD_CRC32 (base64). The task definition sets TRUSTED_STORES, a JSON list in the form of
`claim_check.Store.from_dict`: the publisher's store, with the replica in this Region, and the staging store.

Exit codes: 0 and a line of JSON; 1 if the payload cannot be read or is corrupt; 2 if the environment is invalid. Errors
are on standard error.
"""

import json
import os
import sys
from collections.abc import Mapping

from claim_check import ClaimCheckError, Dereferencer, Payload, Pointer, Store


def process(payload: Payload) -> dict[str, object]:
    """Process the payload and return what the task logs, JSON-serialisable.

    Size and SHA-256 are checked at the payload's end. Therefore use the content only after `download_to` or
    `verify_by_reading` has returned, or `iter_chunks` or `open` has returned the last byte. All of them use constant
    memory.
    """
    digest = payload.verify_by_reading()
    return {"bytes": digest.size, "sha256": digest.sha256}


def payload_of(environment: Mapping[str, str]) -> Payload:
    """Return the payload that the environment describes.

    Raises:
        KeyError: a variable is missing.
        ValueError: a variable is invalid.
        ClaimCheckError: the payload is in no trusted store.
    """
    stores = [Store.from_dict(store) for store in json.loads(environment["TRUSTED_STORES"])]
    return Dereferencer(stores=stores).payload(
        Pointer(environment["PAYLOAD_BUCKET"], environment["PAYLOAD_KEY"]),
        size=int(environment["PAYLOAD_BYTES"]),
        message_id=environment["MESSAGE_ID"],
        sha256=environment.get("PAYLOAD_SHA256"),
        crc64nvme=environment.get("PAYLOAD_CRC64NVME"),
        crc32=environment.get("PAYLOAD_CRC32"),
    )


def main() -> int:
    """Process the payload and return the exit code."""
    try:
        payload = payload_of(os.environ)
    except KeyError as missing:
        print(
            f"{missing.args[0]} is not set. The consume function or the task definition must set it.", file=sys.stderr
        )
        return 2
    except (ValueError, ClaimCheckError) as error:
        print(f"the environment is invalid: {error}", file=sys.stderr)
        return 2
    try:
        result = process(payload)
    except ClaimCheckError as error:
        print(json.dumps(error.record()), file=sys.stderr)
        return 1
    print(json.dumps({"message_id": os.environ["MESSAGE_ID"], **result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
