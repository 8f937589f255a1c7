"""Text in messages: JSON as a body or an event, and text without control characters."""

import json
import math
import re
import uuid

# JSON can have these characters as escapes alone. SQS and SNS reject them as they are, and UTF-8 has no surrogates.
_rejected = re.compile("[\ud800-\udfff\ufffe\uffff]")


def printable(text: str, characters: int) -> str:
    """Return the beginning of a text that a sender can have written, without characters that control a terminal."""
    return "".join(character if character.isprintable() else " " for character in text[:characters])


def message_text(content: object) -> str:
    """Return parsed JSON as compact text that SQS and Lambda accept.

    Only the characters that SQS rejects are escaped. Escapes of all characters outside ASCII could treble the text's
    bytes, and exceed a limit. A number that is infinite in Python, such as 1e400, is written as 1e999.
    """
    try:
        text = _dumps(content)
    except ValueError:
        mark = uuid.uuid4().hex
        text = _dumps(_marked(content, mark)).replace(f'"{mark}"', "1e999").replace(f'"-{mark}"', "-1e999")
    return _rejected.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _dumps(content: object) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _marked(value: object, mark: str) -> object:
    """Return the value with a text in place of each infinite number."""
    match value:
        case dict():
            return {name: _marked(item, mark) for name, item in value.items()}
        case list():
            return [_marked(item, mark) for item in value]
        case float() if math.isinf(value):
            return mark if value > 0 else f"-{mark}"
    return value
