"""The end of a verification."""

from pathlib import Path

import pytest

from claim_check import MessagingDenied
from tests.cli.conftest import Deployed, run


@pytest.mark.parametrize(
    ("error", "code"),
    [(MessagingDenied("cannot put the event"), 2), (OSError("disk full"), 2), (KeyboardInterrupt(), 130)],
)
def test_early_end_of_a_run_is_reported(
    deployed: Deployed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("cli.verify.command.run.run", fail)
    assert run("verify", "--deployment", deployed.file, "--yes", "--report", tmp_path / "report.json") == code
    assert f"{error or 'Interrupted.'}\nThe run ended early. Its payloads stay" in capsys.readouterr().err
