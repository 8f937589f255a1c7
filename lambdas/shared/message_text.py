"""JSON as the body of a message, or as the event of a function."""

import json
import re

# JSON can have these characters as escapes alone. SQS and SNS reject them as they are, and UTF-8 has no surrogates.
_rejected = re.compile("[\ud800-\udfff\ufffe\uffff]")


def message_text(content: object) -> str:
    """Return compact JSON that SQS accepts. Only the characters that it rejects are escaped.

    With an escape for every character outside ASCII, a text can have three times its bytes, and exceed a limit of size.
    """
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return _rejected.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
