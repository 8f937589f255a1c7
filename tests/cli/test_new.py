"""`coatcheck new`: a deployment file from options or answers."""

from pathlib import Path
from urllib.parse import urljoin

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.new import SCHEMA, Answers, party, render
from stacks.deployment import Deployment, ResearchDeployment, load

PUBLISHER = ("--publisher", "111111111111:us-east-1")
RESEARCH = ("--research", "555555555555:us-east-1")
RUNNER = CliRunner()


def test_options_become_a_valid_file(tmp_path: Path) -> None:
    file = tmp_path / "prod.toml"
    arguments = [
        *("new", str(file), *PUBLISHER, "--sender", "shop=444444444444:us-east-1"),
        *("--sqs", "orders=222222222222:us-west-2", "--lambda", "billing=333333333333:us-east-1"),
        *("--https", "partner=555555555555:us-east-1=https://hooks.example/in"),
    ]
    result = RUNNER.invoke(app, arguments)
    assert (result.exit_code, result.output) == (0, f"Wrote {file}. Next: coatcheck check {file}\n")
    deployment = load(file)
    assert isinstance(deployment, Deployment)
    assert [sender.name for sender in deployment.senders] == ["shop"]
    assert [(s.name, s.kind, s.region) for s in deployment.subscribers] == [
        ("orders", "sqs", "us-west-2"),
        ("billing", "lambda", "us-east-1"),
        ("partner", "https", "us-east-1"),
    ]


def test_answers_become_a_valid_file(tmp_path: Path) -> None:
    file = tmp_path / "prod.toml"
    answers = ("111111111111:us-east-1", "shop=444444444444:us-east-1", "", "orders=222222222222:us-west-2", "sqs", "")
    result = RUNNER.invoke(app, ["new", str(file)], input="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    deployment = load(file)
    assert isinstance(deployment, Deployment)
    assert deployment.subscribers[0].kind == "sqs"


def test_unknown_kind_is_an_invalid_answer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    answers = ("111111111111:us-east-1", "", "orders=222222222222:us-west-2", "queue")
    result = RUNNER.invoke(app, ["new", str(tmp_path / "prod.toml")], input="\n".join(answers) + "\n")
    assert result.exit_code == 2
    assert "'queue' is no kind. Give sqs or lambda." in result.output + capfd.readouterr().err


@pytest.mark.parametrize("folder", ["", "own files", "a/b"])
def test_editor_finds_the_schema_of_the_file(folder: str, tmp_path: Path) -> None:
    file = tmp_path / folder / "prod.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    assert RUNNER.invoke(app, ["new", str(file), *RESEARCH]).exit_code == 0
    first, _, _ = file.read_text().partition("\n")
    assert urljoin(file.as_uri(), first.removeprefix("#:schema ")) == SCHEMA.as_uri()


def test_file_with_the_examples_names_the_schema_as_they_do() -> None:
    answers = Answers("coatcheck", research=party(f"research={RESEARCH[1]}"))
    assert render(answers, SCHEMA.parent / "prod.toml").startswith("#:schema ./schema.json\n")


def test_research_environment_alone(tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    assert RUNNER.invoke(app, ["new", str(file), *RESEARCH]).exit_code == 0
    assert isinstance(load(file), ResearchDeployment)


def test_existing_file_is_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "prod.toml"
    file.write_text("mine")
    assert RUNNER.invoke(app, ["new", str(file), *PUBLISHER]).exit_code == 1
    assert file.read_text() == "mine"


@pytest.mark.parametrize("text", ["orders", "orders=222222222222", "=222222222222:us-west-2", "orders=2:us-west-2=x"])
def test_option_in_another_form_exits_with_2(tmp_path: Path, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    result = RUNNER.invoke(app, ["new", str(tmp_path / "prod.toml"), *PUBLISHER, "--sqs", text])
    assert result.exit_code == 2
    assert "must have the form NAME=ACCOUNT:REGION" in result.output + capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_publisher_alone_names_the_missing_options(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = RUNNER.invoke(app, ["new", str(tmp_path / "prod.toml"), *PUBLISHER])
    assert result.exit_code == 2
    assert "Give --sqs, --lambda or --https." in result.output + capfd.readouterr().err


def test_invalid_value_is_reported_as_in_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = RUNNER.invoke(app, ["new", str(tmp_path / "prod.toml"), *PUBLISHER, "--sqs", "Orders=22:mars"])
    assert result.exit_code == 2
    printed = result.output + capfd.readouterr().err
    assert "subscribers[0].account" in printed
    assert "subscribers[0].region" in printed
    assert not list(tmp_path.iterdir())
