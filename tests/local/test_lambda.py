"""Lambda's gaps, and what a function sees of the world it runs in."""

import json

import pytest

from cli.scenario.memory import peak_memory
from local.accounts import Accounts
from tests.local.support import PUBLISHER, Account, eventually, unique

pytestmark = pytest.mark.system

_LOOK_AROUND = """
import importlib.util, os
import boto3

def handler(event, context):
    return {
        "identity": boto3.client("sts").get_caller_identity()["Arn"],
        "region": os.environ["AWS_REGION"],
        "endpoint": os.environ["AWS_ENDPOINT_URL"],
        "found": [name for name in event if importlib.util.find_spec(name)],
    }
"""


def test_a_function_runs_as_its_role_and_knows_its_region(subscriber: Account) -> None:
    function = subscriber.function(_LOOK_AROUND)

    seen = subscriber.invoke(function, [])

    role = subscriber.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"].rsplit("/", 1)[1]
    assert seen["identity"].startswith(f"arn:aws:sts::{subscriber.number}:assumed-role/{role}/")
    assert seen["region"] == subscriber.region
    assert seen["endpoint"].startswith("https://127.0.0.1:")


def test_a_functions_policy_is_enforced(subscriber: Account) -> None:
    code = "import boto3\n\ndef handler(event, context):\n    boto3.client('sqs').list_queues()\n"

    assert subscriber.invoke(subscriber.function(code, {"Action": "sqs:ListQueues", "Resource": "*"})) is None
    assert "is not authorized to perform: sqs:" in subscriber.invoke(subscriber.function(code))["errorMessage"]


_MODULES = ["boto3", "botocore", "s3transfer", "aws_lambda_powertools", "ministack", "pytest", "local", "stacks"]


def test_only_the_runtimes_packages(publisher: Account) -> None:
    found = publisher.invoke(publisher.function(_LOOK_AROUND), _MODULES)["found"]

    assert found == ["boto3", "botocore", "s3transfer"]


def test_gap_packages(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)

    found = account.invoke(account.function(_LOOK_AROUND), _MODULES)["found"]

    assert {"aws_lambda_powertools", "ministack", "pytest"} <= set(found)


_ENVIRONMENT = "import os\n\ndef handler(event, context):\n    return dict(os.environ)\n"


def test_environment_is_lambdas(publisher: Account) -> None:
    function = publisher.function(_ENVIRONMENT, Environment={"Variables": {"STORE": "payloads"}})

    environment = publisher.invoke(function)

    assert environment["STORE"] == "payloads"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == function.rsplit(":", 1)[1]
    assert not {"AUTH", "USE_SSL", "MINISTACK_SSL_KEY", "DOCKER_HOST"} & set(environment)


def test_gap_environment(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)

    assert {"AUTH", "USE_SSL", "MINISTACK_SSL_KEY"} <= set(account.invoke(account.function(_ENVIRONMENT)))


_USE = """
def handler(event, context):
    data = bytearray(event << 20)
    if event:
        raise MemoryError("so that this process ends")
"""


def _peaks(account: Account) -> tuple[int, int]:
    """The peaks in MiB of a function that used 200 MiB and failed, and of one that ran after it and used none."""
    large, small = account.function(_USE), account.function(_USE)
    for function, mebibytes in ((large, 200), (small, 0)):
        account.invoke(function, mebibytes)
    names = [function.rsplit(":", 1)[1] for function in (large, small)]
    first, second = (peak_memory(account.client("logs"), name) for name in names)
    assert first
    assert second
    return first, second


def test_peak_memory_is_the_functions_own(publisher: Account) -> None:
    large, small = _peaks(publisher)

    assert 200 <= large < 300
    assert 5 < small < 100


def test_peak_memory_of_a_function_that_has_not_run(publisher: Account) -> None:
    function = publisher.function()
    name = function.rsplit(":", 1)[1]
    publisher.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")

    assert peak_memory(publisher.client("logs"), name) is None


def test_gap_peak_memory(bare: Accounts) -> None:
    _, small = _peaks(Account(bare, PUBLISHER))

    assert small >= 200  # the other function's


_RAISE = "class Broken(Exception):\n    pass\n\ndef handler(event, context):\n    raise Broken('the reason')\n"


def test_errors_keep_their_type(publisher: Account) -> None:
    error = publisher.invoke(publisher.function(_RAISE))

    assert (error["errorType"], error["errorMessage"]) == ("Broken", "the reason")
    assert any("in handler" in line for line in error["stackTrace"])


def test_gap_error_type(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)

    assert account.invoke(account.function(_RAISE))["errorType"] == "Runtime.HandlerError"


_SLOW = (
    "import json, time\n\ndef handler(event, context):\n    time.sleep(0.3)\n    print('EVENT ' + json.dumps(event))\n"
)


def _burst(account: Account, count: int) -> tuple[str, str]:
    """(function, its on-failure queue) after asynchronous events for a function that runs 0.3 s, one at a time."""
    kept, function = account.queue(), account.function(_SLOW)
    functions = account.client("lambda")
    functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    functions.put_function_event_invoke_config(
        FunctionName=function, DestinationConfig={"OnFailure": {"Destination": kept}}
    )
    for number in range(count):
        functions.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"n": number}))
    return function, kept


def test_throttled_events_wait(publisher: Account) -> None:
    function, kept = _burst(publisher, 5)

    eventually(lambda: len(publisher.events(function)) == 5)
    assert sorted(event["n"] for event in publisher.events(function)) == list(range(5))
    assert publisher.messages(kept) == []


def test_gap_throttled_events(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    _, kept = _burst(account, 5)

    assert eventually(lambda: account.messages(kept))


def _reserved(account: Account) -> list[int | None]:
    """The reserved concurrency of a function whose template sets it, changes it, and leaves it out."""
    stack, name, found = unique("stack"), unique("function"), []
    for reserved in (3, 4, None):
        properties = {
            "FunctionName": name,
            "Runtime": "python3.14",
            "Handler": "index.handler",
            "Role": account.role_arn("role"),
            "Code": {"ZipFile": "def handler(event, context): pass"},
            "Description": str(reserved),
            **({"ReservedConcurrentExecutions": reserved} if reserved else {}),
        }
        status, reasons = account.deploy(
            {"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}}, stack
        )
        assert status.endswith("_COMPLETE"), reasons
        answer = account.client("lambda").get_function_concurrency(FunctionName=name)
        found.append(answer.get("ReservedConcurrentExecutions"))
    return found


def test_reserved_concurrency_by_cloudformation(publisher: Account) -> None:
    assert _reserved(publisher) == [3, 4, None]


def test_gap_reserved_concurrency(bare: Accounts) -> None:
    assert _reserved(Account(bare, PUBLISHER)) == [None, None, None]
