"""JSON as the body of a message."""

import json

import pytest

from shared.message_text import message_text


@pytest.mark.parametrize(
    "text", ["\ud83e", "\ufffe\uffff", "\x00\x1f", "\\u0041", '"', "\U0001f9e5", "\x7f\u2028"], ids=ascii
)
def test_every_text_is_a_message_and_the_same_json(text: str) -> None:
    body = message_text({text: [text]})
    assert not set(body) & {"\ud83e", "\ufffe", "\uffff", "\x00", "\x1f"}
    assert json.loads(body.encode()) == {text: [text]}


def test_text_outside_ascii_has_its_own_bytes() -> None:
    assert len(message_text("ж" * 1000).encode()) == 2002


def test_infinite_number_is_a_number_again() -> None:
    """Lambda rejects an event with `Infinity`, which is not JSON."""
    body = message_text(json.loads('{"Infinity":[1e400,-1e400,1.5,"Infinity"]}'))
    assert body == '{"Infinity":[1e999,-1e999,1.5,"Infinity"]}'
