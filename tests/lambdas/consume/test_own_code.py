"""Own code: its result, its time limit, and its ends."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from claim_check import Dereferencer, Message, PayloadRejected
from consume import own_code
from consume.own_code import ProcessExit, ProcessTimeout, process_from
from shared.handoff import InvalidResult
from shared.settings import InvalidSettings

MESSAGE = Dereferencer(stores=[]).message({"MessageId": "m-1", "Body": "text"})
Load = Callable[..., Callable[[Message], Any]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """A function that loads own code from its text, as a function's start does."""
    monkeypatch.setattr(own_code, "FOLDER", tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])

    def load(text: str, *, seconds: int = 5) -> Callable[[Message], Any]:
        (tmp_path / "application.py").write_text(text)
        return process_from({"PROCESS_SECONDS": str(seconds)})

    yield load
    sys.modules.pop("application", None)


def returning(expression: str) -> str:
    return f"def process(message):\n    return {expression}\n"


def test_result_is_as_json_has_it(load: Load) -> None:
    process = load(returning("{'text': message.payload.text(), 'sizes': (1, 2.5), 'none': None}"))
    assert process(MESSAGE) == {"text": "text", "sizes": [1, 2.5], "none": None}


@pytest.mark.parametrize("expression", ["b'x'", "{1, 2}", "float('nan')", "'\\ud800'", "message", "object()"])
def test_result_without_a_json_form_is_rejected(load: Load, expression: str) -> None:
    process = load(returning(expression))
    with pytest.raises(InvalidResult, match=r"process returned a value that JSON cannot hold: .* \(message 'm-1'\)"):
        process(MESSAGE)


def test_errors_of_own_code_are_raised(load: Load) -> None:
    process = load(
        "from claim_check import PayloadRejected\ndef process(message):\n    raise PayloadRejected('no text')\n"
    )
    with pytest.raises(PayloadRejected, match="no text"):
        process(MESSAGE)


def test_exit_of_own_code_fails_one_message(load: Load) -> None:
    process = load("import sys\ndef process(message):\n    sys.exit(3)\n")
    with pytest.raises(ProcessExit, match="process ended with exit code 3"):
        process(MESSAGE)


def test_own_code_is_interrupted_after_its_time(load: Load) -> None:
    text = "import time\ndef process(message):\n    try: time.sleep(60)\n    except Exception: return 1\n"
    process = load(text, seconds=1)
    started = time.monotonic()
    with pytest.raises(ProcessTimeout, match=r"process did not end in 1 s: raise code\.timeout_seconds"):
        process(MESSAGE)
    assert time.monotonic() - started < 10


def test_helper_module_next_to_own_code_is_imported(load: Load, tmp_path: Path) -> None:
    (tmp_path / "own_helper.py").write_text("NUMBER = 7\n")
    assert load("import own_helper\ndef process(message):\n    return own_helper.NUMBER\n")(MESSAGE) == 7


def test_module_without_process_is_reported(load: Load) -> None:
    with pytest.raises(InvalidSettings, match=r"application\.py: has no function process\(message\)"):
        load("handler = None\n")


def test_function_without_own_code_returns_none() -> None:
    assert process_from({})(MESSAGE) is None
