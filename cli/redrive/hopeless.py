"""Reasons that stay: a letter that has one fails again, however often it is sent back as it is.

They are the library's permanent errors (`claim_check/errors.py`) and the queue function's own; and that people stopped
an execution, which is theirs to undo. Where what the letter points to was mended, such as an object that was put back,
it is sent back by its reason: `--reason PayloadMissing`.
"""

FIND_THE_SENDER = "is left: find out who sent it"
AGAIN = "is left: have it published again"

WHAT_TO_DO = {
    "UntrustedStore": FIND_THE_SENDER,
    "MalformedMessage": FIND_THE_SENDER,
    "PayloadMissing": AGAIN,
    "PayloadCorrupt": "is left: find out who replaced the payload",
    "PayloadConflict": f"{AGAIN}, under an id of its own",
    "PayloadTooLarge": "is left: raise publisher.outbox.maximum_bytes, or have it published again in smaller pieces",
    "InputTooLarge": f"{AGAIN}, with fewer attributes, under another id",
    "InvalidMessage": f"{AGAIN}, mended",
    "ABORTED": "is left: somebody stopped it",
}
"""By the reason."""
