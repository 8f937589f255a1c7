"""Patches of Lambda, and the environment of a function."""

import json

import pytest

from cli.scenario.function_log import log_lines
from cli.scenario.memory import peak_memory
from local.emulator import Emulator
from tests.local.support import Account, eventually, unique

pytestmark = pytest.mark.system

_FIND = """
import importlib.util

def handler(event, context):
    return [name for name in event if importlib.util.find_spec(name)]
"""


def test_function_needs_permissions_of_its_role(subscriber: Account) -> None:
    code = "import boto3\n\ndef handler(event, context):\n    boto3.client('sqs').list_queues()\n"

    assert subscriber.invoke(subscriber.function(code, {"Action": "sqs:ListQueues", "Resource": "*"})) is None
    assert "is not authorized to perform: sqs:" in subscriber.invoke(subscriber.function(code))["errorMessage"]


_MODULES = ["boto3", "botocore", "s3transfer", "aws_lambda_powertools", "ministack", "pytest", "local", "claim_check"]


@pytest.mark.patched
@pytest.mark.aws
def test_packages_are_the_runtimes(publisher: Account) -> None:
    assert publisher.invoke(publisher.function(_FIND), _MODULES) == ["boto3", "botocore", "s3transfer"]


_ENVIRONMENT = "import os\n\ndef handler(event, context):\n    return dict(os.environ)\n"


@pytest.mark.patched
@pytest.mark.aws
def test_environment_is_the_runtimes(publisher: Account) -> None:
    function = publisher.function(_ENVIRONMENT, Environment={"Variables": {"STORE": "payloads"}})

    environment = publisher.invoke(function)

    assert environment["STORE"] == "payloads"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == function.rsplit(":", 1)[1]
    assert not {"AUTH", "USE_SSL", "MINISTACK_SSL_KEY", "DOCKER_HOST"} & set(environment)


_ALLOCATE = """
def handler(event, context):
    data = bytearray(event << 20)
    if event:
        raise MemoryError("this ends the process")
"""


@pytest.mark.patched
def test_peak_memory_is_the_functions(publisher: Account) -> None:
    """A function that used 200 MiB and failed, and one that ran after it."""
    large, small = publisher.function(_ALLOCATE), publisher.function(_ALLOCATE)
    for function, mebibytes in ((large, 200), (small, 0)):
        publisher.invoke(function, mebibytes)

    names = [function.rsplit(":", 1)[1] for function in (large, small)]
    first, second = (peak_memory(log_lines(publisher.client("logs"), name)) or 0 for name in names)
    assert 200 <= first < 300
    assert 5 < second < 100


def test_peak_memory_is_unknown_before_the_first_run(publisher: Account) -> None:
    name = publisher.function().rsplit(":", 1)[1]
    publisher.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")

    assert peak_memory(log_lines(publisher.client("logs"), name)) is None


@pytest.mark.patched
def test_log_lines_are_also_in_a_file(publisher: Account, emulator: Emulator) -> None:
    function = publisher.function()
    publisher.invoke(function, {"order": 1})

    name = function.rsplit(":", 1)[1]
    assert f'{publisher.number} {name}: EVENT {{"order": 1}}\n' in emulator.function_log_path.read_text()


_RAISE = "class Broken(Exception):\n    pass\n\ndef handler(event, context):\n    raise Broken('the reason')\n"


@pytest.mark.patched
@pytest.mark.aws
def test_errors_have_their_type(publisher: Account) -> None:
    error = publisher.invoke(publisher.function(_RAISE))

    assert (error["errorType"], error["errorMessage"]) == ("Broken", "the reason")
    assert any("in handler" in line for line in error["stackTrace"])


_SLOW = (
    "import json, time\n\ndef handler(event, context):\n    time.sleep(0.3)\n    print('EVENT ' + json.dumps(event))\n"
)


@pytest.mark.patched
def test_throttled_events_wait(publisher: Account) -> None:
    """Five events of 0.3 s, for a function that handles one at a time."""
    function, functions = publisher.function(_SLOW), publisher.client("lambda")
    functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    failed = publisher.on_failure_queue(function)
    for number in range(5):
        functions.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"n": number}))

    eventually(lambda: len(publisher.events(function)) == 5)
    assert sorted(event["n"] for event in publisher.events(function)) == list(range(5))
    assert publisher.messages(failed) == []


@pytest.mark.patched
def test_template_reserves_concurrency(publisher: Account) -> None:
    """A template that sets it, changes it, and removes it."""
    stack, name = unique("stack"), unique("function")
    for reserved in (3, 4, None):
        properties = {
            "FunctionName": name,
            "Runtime": "python3.14",
            "Handler": "index.handler",
            "Role": publisher.role_arn("role"),
            "Code": {"ZipFile": "def handler(event, context): pass"},
            "Description": str(reserved),
            **({"ReservedConcurrentExecutions": reserved} if reserved else {}),
        }
        publisher.create({"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}}, stack)
        response = publisher.client("lambda").get_function_concurrency(FunctionName=name)
        assert response.get("ReservedConcurrentExecutions") == reserved
