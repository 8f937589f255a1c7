"""What `coatcheck local` prints about the accounts and this machine."""

from pathlib import Path

import pytest

from cli import local_accounts
from local.environment import ROOT
from stacks.deployment import load_messaging


@pytest.mark.parametrize(
    ("printed", "warns"),
    [
        ("aws-cli/1.22.34 Python/3.10.6 botocore/1.23.34", True),
        ("aws-cli/1.36.0 Python/3.12.3 botocore/1.35.0", True),
        ("aws-cli/2.9.19 Python/3.11.2 Linux/6.1 source", True),
        ("aws-cli/2.13.0 Python/3.11.4 Linux/6.1 exe", False),
        ("aws-cli/3.0.0 Python/3.14", False),
        ("something else", False),
    ],
)
def test_old_aws_cli_is_warned_about(
    printed: str, warns: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "aws"
    program.write_text(f"#!/bin/sh\necho '{printed}'\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    warning = local_accounts._cli_warning()
    assert bool(warning) == warns
    assert not warning or warning.startswith(f"{program} is version ")


def test_every_party_has_a_profile() -> None:
    deployment = load_messaging(ROOT / "deployments" / "example.toml")
    assert local_accounts._accounts(deployment) == {
        "publisher": "111111111111",
        "shop": "444444444444",
        "orders": "222222222222",
        "billing": "333333333333",
    }


def test_logs_of_the_deployment_are_not_followed(tmp_path: Path) -> None:
    file = tmp_path / "functions.log"
    file.write_text("111111111111 framework-onEvent: deploying\n")
    with local_accounts._open_at_end(file) as log, file.open("a") as function:
        assert log.read() == ""
        function.write("111111111111 coatcheck-publish: published\n")
        function.flush()
        assert log.read() == "111111111111 coatcheck-publish: published\n"
