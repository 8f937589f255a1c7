"""Patches of Lambda, and the environment of a function."""

import json

import pytest

from cli.scenario.memory import peak_memory
from local.emulator import Emulator
from tests.local.support import Account, eventually, unique

pytestmark = pytest.mark.system

_INSPECT = """
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


def test_function_runs_in_its_region_with_its_role(subscriber: Account) -> None:
    function = subscriber.function(_INSPECT)

    seen = subscriber.invoke(function, [])

    role = subscriber.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"].rsplit("/", 1)[1]
    assert seen["identity"].startswith(f"arn:aws:sts::{subscriber.number}:assumed-role/{role}/")
    assert seen["region"] == subscriber.region
    assert seen["endpoint"].startswith("https://127.0.0.1:")


def test_function_needs_permissions_of_its_role(subscriber: Account) -> None:
    code = "import boto3\n\ndef handler(event, context):\n    boto3.client('sqs').list_queues()\n"

    assert subscriber.invoke(subscriber.function(code, {"Action": "sqs:ListQueues", "Resource": "*"})) is None
    assert "is not authorized to perform: sqs:" in subscriber.invoke(subscriber.function(code))["errorMessage"]


_MODULES = ["boto3", "botocore", "s3transfer", "aws_lambda_powertools", "ministack", "pytest", "local", "claim_check"]


@pytest.mark.aws
def test_packages_are_the_runtimes(publisher: Account) -> None:
    found = publisher.invoke(publisher.function(_INSPECT), _MODULES)["found"]

    assert found == ["boto3", "botocore", "s3transfer"]


def test_unpatched_packages_are_the_emulators(unpatched_account: Account) -> None:
    found = unpatched_account.invoke(unpatched_account.function(_INSPECT), _MODULES)["found"]

    assert {"aws_lambda_powertools", "ministack", "pytest"} <= set(found)


_ENVIRONMENT = "import os\n\ndef handler(event, context):\n    return dict(os.environ)\n"
_SETTINGS = {"AUTH", "USE_SSL", "MINISTACK_SSL_KEY"}


@pytest.mark.aws
def test_environment_is_the_runtimes(publisher: Account) -> None:
    function = publisher.function(_ENVIRONMENT, Environment={"Variables": {"STORE": "payloads"}})

    environment = publisher.invoke(function)

    assert environment["STORE"] == "payloads"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == function.rsplit(":", 1)[1]
    assert not (_SETTINGS | {"DOCKER_HOST"}) & set(environment)


def test_unpatched_environment_has_emulators_settings(unpatched_account: Account) -> None:
    assert set(unpatched_account.invoke(unpatched_account.function(_ENVIRONMENT))) >= _SETTINGS


_ALLOCATE = """
def handler(event, context):
    data = bytearray(event << 20)
    if event:
        raise MemoryError("this ends the process")
"""


def _peaks(account: Account) -> tuple[int, int]:
    """Return the peak memory of a function that used 200 MiB and failed, and of a function that ran after it."""
    large, small = account.function(_ALLOCATE), account.function(_ALLOCATE)
    for function, mebibytes in ((large, 200), (small, 0)):
        account.invoke(function, mebibytes)
    names = [function.rsplit(":", 1)[1] for function in (large, small)]
    first, second = (peak_memory(account.client("logs"), name) or 0 for name in names)
    return first, second


def test_peak_memory_is_the_functions(publisher: Account) -> None:
    large, small = _peaks(publisher)

    assert 200 <= large < 300
    assert 5 < small < 100


def test_peak_memory_is_unknown_before_the_first_run(publisher: Account) -> None:
    name = publisher.function().rsplit(":", 1)[1]
    publisher.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")

    assert peak_memory(publisher.client("logs"), name) is None


def test_unpatched_peak_memory_is_of_all_functions(unpatched_account: Account) -> None:
    _, small = _peaks(unpatched_account)

    assert small >= 200


def test_log_lines_are_also_in_a_file(publisher: Account, emulator: Emulator) -> None:
    function = publisher.function()
    publisher.invoke(function, {"order": 1})

    name = function.rsplit(":", 1)[1]
    assert f'{publisher.number} {name}: EVENT {{"order": 1}}\n' in emulator.function_log_path.read_text()


_RAISE = "class Broken(Exception):\n    pass\n\ndef handler(event, context):\n    raise Broken('the reason')\n"


@pytest.mark.aws
def test_errors_have_their_type(publisher: Account) -> None:
    error = publisher.invoke(publisher.function(_RAISE))

    assert (error["errorType"], error["errorMessage"]) == ("Broken", "the reason")
    assert any("in handler" in line for line in error["stackTrace"])


def test_unpatched_errors_have_a_common_type(unpatched_account: Account) -> None:
    assert unpatched_account.invoke(unpatched_account.function(_RAISE))["errorType"] == "Runtime.HandlerError"


_SLOW = (
    "import json, time\n\ndef handler(event, context):\n    time.sleep(0.3)\n    print('EVENT ' + json.dumps(event))\n"
)


def _invoke_throttled(account: Account) -> tuple[str, str]:
    """Send 5 events of 0.3 s to a function that handles one at a time. Return it and its on-failure queue."""
    function = account.function(_SLOW)
    functions = account.client("lambda")
    functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    failed = account.on_failure_queue(function)
    for number in range(5):
        functions.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"n": number}))
    return function, failed


def test_throttled_events_wait(publisher: Account, unpatched_account: Account) -> None:
    """Both emulators at the same time, because each needs seconds."""
    function, failed = _invoke_throttled(publisher)
    _, unpatched_failed = _invoke_throttled(unpatched_account)

    eventually(lambda: len(publisher.events(function)) == 5)
    assert sorted(event["n"] for event in publisher.events(function)) == list(range(5))
    assert publisher.messages(failed) == []
    assert eventually(lambda: unpatched_account.messages(unpatched_failed))


def _reserved(account: Account) -> list[int | None]:
    """Return the reserved concurrency of a function whose template sets it, changes it, and removes it."""
    stack, name, values = unique("stack"), unique("function"), []
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
        account.create({"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}}, stack)
        response = account.client("lambda").get_function_concurrency(FunctionName=name)
        values.append(response.get("ReservedConcurrentExecutions"))
    return values


def test_template_reserves_concurrency(publisher: Account) -> None:
    assert _reserved(publisher) == [3, 4, None]


def test_unpatched_template_reserves_no_concurrency(unpatched_account: Account) -> None:
    assert _reserved(unpatched_account) == [None, None, None]
