"""The README's commands, on emulated accounts: each stack with the credentials of its own account, and too early."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PUBLISHER, ORDERS, BILLING = "111111111111", "222222222222", "333333333333"

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def variables() -> Iterator[dict[str, str]]:
    """What `make local` prints to paste."""
    local = subprocess.Popen([sys.executable, "-m", "local"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert local.stdout
    printed = ""
    for line in local.stdout:
        printed += line
        if line.startswith("What they do not enforce"):
            break
    try:
        yield dict(re.findall(r"^export (\w+)=(\S+)$", printed, flags=re.MULTILINE))
    finally:
        local.send_signal(signal.SIGINT)
        assert local.wait(timeout=20) == 0
        local.stdout.close()


@pytest.fixture(scope="module")
def cdk(variables: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the CDK CLI in the project's folder as an account."""

    def run(account: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        node = [str(Path(sys.executable).parent), str(ROOT / "node_modules" / ".bin"), os.environ["PATH"]]
        environment = os.environ | variables | {"AWS_ACCESS_KEY_ID": account, "PATH": os.pathsep.join(node)}
        environment |= {
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_DISABLE_VERSION_CHECK": "true",
            "CDK_VALIDATION": "false",
        }
        return subprocess.run(
            ["npx", "cdk", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return run


Cdk = Callable[..., subprocess.CompletedProcess[str]]


def deploy(cdk: Cdk, account: str, stack: str, *options: str) -> subprocess.CompletedProcess[str]:
    return cdk(account, "deploy", stack, "--require-approval", "never", *options)


def test_a_deployment_one_account_at_a_time(cdk: Cdk, tmp_path: Path) -> None:
    """One story, in the order in which it happens to people."""
    for account, *regions in (
        (PUBLISHER, "us-east-1"),
        (ORDERS, "us-west-2", "us-east-1"),
        (BILLING, "us-east-1"),
    ):
        bootstrapped = cdk(account, "bootstrap", *(f"aws://{account}/{region}" for region in regions))
        assert bootstrapped.returncode == 0, bootstrapped.stdout

    too_early = deploy(cdk, BILLING, "coatcheck-billing")
    assert too_early.returncode != 0
    assert "Topic does not exist" in too_early.stdout, too_early.stdout

    # A publisher that was deployed before anybody thought of `orders`.
    older = tmp_path / "older.toml"
    example = (ROOT / "deployments" / "example.toml").read_text()
    older.write_text(re.sub(r'\[\[subscribers\]\]\nname = "orders".*?(?=\[\[)', "", example, flags=re.DOTALL))
    published = deploy(cdk, PUBLISHER, "coatcheck-publisher", "-c", f"deployment={older}")
    assert published.returncode == 0, published.stdout
    unknown = deploy(cdk, ORDERS, "coatcheck-orders")
    assert unknown.returncode != 0
    assert re.search(r"not authorized to perform: SNS:Subscribe", unknown.stdout, flags=re.IGNORECASE), unknown.stdout

    # Once the publisher knows it, what failed before can be deployed again: nothing of it is in the way.
    published = deploy(cdk, PUBLISHER, "coatcheck-publisher")
    assert published.returncode == 0, published.stdout
    for account, stack in ((ORDERS, "coatcheck-orders"), (BILLING, "coatcheck-billing")):
        deployed = deploy(cdk, account, stack)
        assert deployed.returncode == 0, deployed.stdout
    # The subscriber in another Region has brought its redrive stack along.
    assert "coatcheck-orders-redrive" in unknown.stdout


def test_a_deployment_file_that_is_wrong_is_said_so_in_full(cdk: Cdk, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text((ROOT / "deployments" / "example.toml").read_text().replace("111111111111", "1111"))
    refused = cdk(PUBLISHER, "synth", "--quiet", "-c", f"deployment={wrong}")
    assert refused.returncode != 0
    assert "publisher.account = '1111': must be the 12 digits of an AWS account id" in refused.stdout
    assert "Traceback" not in refused.stdout
