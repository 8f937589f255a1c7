"""JSON as the body of a message, or as the event of a function."""

import json
import math
import re
import uuid

# JSON can have these characters as escapes alone. SQS and SNS reject them as they are, and UTF-8 has no surrogates.
_rejected = re.compile("[\ud800-\udfff\ufffe\uffff]")


def message_text(content: object) -> str:
    """Return JSON that was parsed as compact JSON that SQS and Lambda accept.

    Only the characters that SQS rejects are escaped: with an escape for every character outside ASCII, a text can have
    three times its bytes, and exceed a limit of size. A number that is infinite in Python, such as 1e400, is a number
    again.
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
