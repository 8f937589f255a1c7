"""Own code of a consume function: counts the lines of a payload.

Copy this folder, and write `process`. `requirements.txt` next to this file may name packages of pure Python.
"""

from claim_check import Message, PayloadRejected


def process(message: Message) -> dict[str, int]:
    """Return the number of lines. The result is a part of the execution's input, and the task's variable `RESULT`.

    The payload, of any size, is read with the library in a memory limit. `process` is called again if a later step
    fails, so that its effects must be the same for the same `message.id`.

    Raises:
        PayloadRejected: The payload is empty. The message is a dead letter at once, with this reason. After another
            error, the message is retried.
    """
    if not message.size:
        raise PayloadRejected("the payload is empty: send at least one line", message_id=message.id)
    return {"lines": sum(chunk.count(b"\n") for chunk in message.payload.iter_chunks())}
