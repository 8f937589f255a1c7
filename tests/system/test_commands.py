"""The README's commands on emulated accounts: each stack with the credentials of its account."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from claim_check import put_event
from stacks.deployment import parse_messaging
from tests.local.support import eventually
from tests.system.support import EXAMPLE_WITH_LANDING, LocalAccounts
from tests.templates import ROOT, assembly

PUBLISHER, ORDERS, BILLING = "111111111111", "222222222222", "333333333333"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
PAYLOAD_BUCKET = f"coatcheck-payloads-{PUBLISHER}-us-east-1"
Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = [pytest.mark.system, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAccounts]:
    with LocalAccounts() as local:
        yield local


def _run(*command: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder, with the installed Node and CDK CLI."""
    node = [str(Path(sys.executable).parent), str(ROOT / "node_modules" / ".bin"), os.environ["PATH"]]
    quiet = {"CDK_DISABLE_CLI_TELEMETRY": "true", "CDK_DISABLE_VERSION_CHECK": "true"}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | quiet | variables | {"PATH": os.pathsep.join(node)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def cdk(local: LocalAccounts) -> Run:
    """A function that runs the CDK CLI as an account."""
    return lambda account, *arguments: _run(
        "cdk", *arguments, variables=local.variables | {"AWS_ACCESS_KEY_ID": account}
    )


@pytest.fixture(scope="module")
def deploy(cdk: Run) -> Run:
    """A function that deploys a stack of an assembly as an account."""
    # Without a change set, for which the CLI waits five seconds at a time.
    options = ("--method", "direct", "--require-approval", "never")
    return lambda account, stack, app: cdk(account, "deploy", stack, "--app", str(app), *options)


@pytest.fixture(scope="module")
def synthesize(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that synthesizes a deployment file's text, once for several commands."""
    return lambda text: assembly(parse_messaging(tomllib.loads(text)), tmp_path_factory.mktemp("assembly"))


def test_local_prints_credentials_of_an_account(local: LocalAccounts) -> None:
    identity = local.client("sts", local.variables["AWS_ACCESS_KEY_ID"]).get_caller_identity()
    assert identity["Account"] == PUBLISHER


def test_synth_reports_invalid_deployment_file(tmp_path: Path) -> None:
    invalid = tmp_path / "invalid.toml"
    invalid.write_text(EXAMPLE_WITH_LANDING.replace(PUBLISHER, "1111"))
    result = _run("npx", "cdk", "synth", "--quiet", "-c", f"deployment={invalid}", variables={})
    assert result.returncode != 0
    assert 'publisher.account = "1111": must be the 12 digits' in result.stdout
    assert "Traceback" not in result.stdout


TOOLING, HOME, OTHER = "444444444444", "555555555555", "666666666666"
PIPELINE = f"""
name = "pipeline"
publisher = {{ account = "{HOME}", region = "us-east-1" }}
subscribers = [{{ name = "archive", kind = "sqs", account = "{OTHER}", region = "us-east-1" }}]
"""


def test_tooling_account_deploys_one_assembly(cdk: Run, local: LocalAccounts, tmp_path: Path) -> None:
    """A pipeline synthesizes, lists and deploys one assembly, in the two steps of docs/upgrading.md."""
    (tmp_path / "pipeline.toml").write_text(PIPELINE)
    app, trust = str(tmp_path / "cdk.out"), ("--trust", TOOLING, "--cloudformation-execution-policies", ADMINISTRATOR)

    def run(account: str, *arguments: str) -> str:
        result = cdk(account, *arguments)
        assert result.returncode == 0, result.stdout
        return result.stdout

    synthesis = ("--output", app, "-c", f"deployment={tmp_path / 'pipeline.toml'}")
    run(TOOLING, "synth", "--quiet", *synthesis)
    for account in (HOME, OTHER):
        # Without --app, the CLI synthesizes the project's deployment first, which takes seconds.
        run(account, "bootstrap", f"aws://{account}/us-east-1", *trust, "--app", app)
    for source in (synthesis, ("--app", app)):  # the first one writes the assembly again
        listed = run(TOOLING, "ls", *source).splitlines()
        assert {"pipeline-archive", "pipeline-publisher"} <= set(listed)

    deploy = ("--app", app, "--method", "direct", "--require-approval", "never")
    run(TOOLING, "deploy", "pipeline-publisher", *deploy)
    run(TOOLING, "deploy", "--all", *deploy)

    bus = f"arn:aws:events:us-east-1:{HOME}:event-bus/pipeline"
    sent = put_event(bus=bus, source="shop", detail_type="order", detail={}, events=local.client("events", HOME))
    states = local.client("stepfunctions", OTHER)
    (machine,) = states.list_state_machines()["stateMachines"]

    def names() -> list[str]:
        executions = states.list_executions(stateMachineArn=machine["stateMachineArn"], statusFilter="SUCCEEDED")
        return [execution["name"] for execution in executions["executions"]]

    assert eventually(names, 60) == [sent]


def test_accounts_are_deployed_one_after_the_other(cdk: Run, deploy: Run, synthesize: Callable[[str], Path]) -> None:
    """Subscribers are also deployed before the publisher's stack exists, and before it has the subscriber."""
    example = synthesize(EXAMPLE_WITH_LANDING)
    # The first as a user types it, who has no assembly: the CLI synthesizes.
    for account, *arguments in (
        (ORDERS, f"aws://{ORDERS}/us-west-2", f"aws://{ORDERS}/us-east-1"),
        (PUBLISHER, f"aws://{PUBLISHER}/us-east-1", "--app", str(example)),
        (BILLING, f"aws://{BILLING}/us-east-1", "--app", str(example)),
    ):
        bootstrapped = cdk(account, "bootstrap", *arguments)
        assert bootstrapped.returncode == 0, bootstrapped.stdout

    too_early = deploy(BILLING, "coatcheck-billing", example)
    assert too_early.returncode != 0
    assert "Topic does not exist" in too_early.stdout, too_early.stdout
    # The stack's image was built by then. All resources are deleted again.
    assert "DELETE_FAILED" not in too_early.stdout, too_early.stdout

    without_orders = re.sub(
        r'\[\[subscribers\]\]\nname = "orders".*?(?=\[\[)', "", EXAMPLE_WITH_LANDING, flags=re.DOTALL
    )
    published = deploy(PUBLISHER, "coatcheck-publisher", synthesize(without_orders))
    assert published.returncode == 0, published.stdout
    unknown = deploy(ORDERS, "coatcheck-orders", example)
    assert unknown.returncode != 0
    assert re.search(r"not authorized to perform: SNS:Subscribe", unknown.stdout, flags=re.IGNORECASE), unknown.stdout

    # A failed deployment leaves nothing that prevents the next.
    published = deploy(PUBLISHER, "coatcheck-publisher", example)
    assert published.returncode == 0, published.stdout
    for account, stack in ((ORDERS, "coatcheck-orders"), (BILLING, "coatcheck-billing")):
        deployed = deploy(account, stack, example)
        assert deployed.returncode == 0, deployed.stdout
    # The stack in the topic's Region is deployed with the subscriber's.
    assert "coatcheck-orders-undelivered" in unknown.stdout


def test_ephemeral_deployment_is_removed_with_its_data(
    cdk: Run, deploy: Run, local: LocalAccounts, synthesize: Callable[[str], Path]
) -> None:
    """The README's clean-up, of the deployment in the test before."""
    ephemeral = synthesize("ephemeral = true\n" + EXAMPLE_WITH_LANDING)
    protected = cdk(PUBLISHER, "destroy", "coatcheck-publisher", "--app", str(ephemeral), "--force")
    assert "TerminationProtection" in protected.stdout
    s3 = local.client("s3", PUBLISHER)
    s3.put_object(Bucket=PAYLOAD_BUCKET, Key="payloads/left-over", Body=b"payload")

    stacks = [(BILLING, "coatcheck-billing"), (ORDERS, "coatcheck-orders"), (PUBLISHER, "coatcheck-publisher")]
    for account, stack in stacks:
        deployed = deploy(account, stack, ephemeral)
        assert deployed.returncode == 0, deployed.stdout
    for account, stack in stacks:
        others = ["coatcheck-orders-undelivered"] if account == ORDERS else []
        destroyed = cdk(account, "destroy", stack, *others, "--app", str(ephemeral), "--force")
        assert destroyed.returncode == 0, destroyed.stdout
    with pytest.raises(s3.exceptions.ClientError, match="Not Found"):
        s3.head_bucket(Bucket=PAYLOAD_BUCKET)
