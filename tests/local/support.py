"""Resources in an account, and waiting for their effects."""

import io
import json
import signal
import time
import uuid
import zipfile
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from cli.profiles import ProfileClients
from local.accounts import Accounts

T = TypeVar("T")

PUBLISHER, SUBSCRIBER, OTHER = "111111111111", "222222222222", "333333333333"
NEAR, FAR = "us-east-1", "us-west-2"
_STACK_SECONDS = 300.0
LONGEST_WAIT_SECONDS = inf

PRINT_EVENT = "import json\n\ndef handler(event, context):\n    print('EVENT ' + json.dumps(event))\n"


def unique(name: str) -> str:
    """Return a name that no other test uses."""
    return f"coatcheck-test-{name}-{uuid.uuid4().hex[:8]}"


def interruptible() -> None:
    """Reset SIGINT in a child process. A process that is started in the background inherits that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def eventually(check: Callable[[], T], seconds: float = 120.0) -> T:
    """Call `check` until its value is true, and return the value. The time between calls grows to two seconds."""
    seconds = min(seconds, LONGEST_WAIT_SECONDS)
    deadline, pause = time.monotonic() + seconds, 0.05
    while not (value := check()):
        assert time.monotonic() < deadline, f"no true value within {seconds:.0f} s"
        time.sleep(pause)
        pause = min(2.0, pause * 1.1)
    return value


def processes(group: int) -> set[int]:
    """Return the ids of a process group's members, without zombies."""
    members = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member_of = status.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(member_of) == group and state != "Z":
            members.add(int(status.parent.name))
    return members


def root(account: str) -> dict[str, str]:
    """Return the principal of a whole account."""
    return {"AWS": f"arn:aws:iam::{account}:root"}


def document(*statements: dict[str, Any]) -> str:
    """Return a policy of these statements as JSON. A statement's effect is Allow by default."""
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]})


def delete_bucket(s3: Any, bucket: str) -> None:
    """Delete a bucket with its content."""
    for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    s3.delete_bucket(Bucket=bucket)


class Account:
    """One account and Region, emulated or of AWS, with methods that create resources."""

    def __init__(self, accounts: Accounts | ProfileClients, number: str, region: str = NEAR) -> None:
        self.accounts, self.number, self.region = accounts, number, region

    def client(self, service: str, role: str | None = None) -> Any:
        return self.accounts.client(service, account=self.number, region=self.region, role=role)

    def role(self, *statements: dict[str, Any]) -> str:
        """Create a role with these statements, which this account and two services may assume. Return its name."""
        name, iam = unique("role"), self.client("iam")
        services = {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]}
        trust = document({"Action": "sts:AssumeRole", "Principal": {**root(self.number), **services}})
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(*statements))
        return name

    def role_arn(self, name: str) -> str:
        return f"arn:aws:iam::{self.number}:role/{name}"

    def queue(self, policy: str = "") -> str:
        """Create a queue and return its ARN."""
        name = unique("queue")
        self.client("sqs").create_queue(QueueName=name, Attributes={"Policy": policy} if policy else {})
        return f"arn:aws:sqs:{self.region}:{self.number}:{name}"

    def queue_for(self, service: str, source: str) -> str:
        """Create a queue to which a service may send for a source, an ARN that may contain `*`. Return its ARN."""
        statement = {
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": "*",
            "Condition": {"ArnLike": {"aws:SourceArn": source}},
        }
        return self.queue(document(statement))

    def messages(self, queue_arn: str) -> list[dict[str, Any]]:
        """Receive up to 10 messages and delete them."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=queue_arn.rsplit(":", 1)[1])["QueueUrl"]
        response = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        received: list[dict[str, Any]] = response.get("Messages", [])
        for message in received:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return received

    def function(self, code: str = PRINT_EVENT, *statements: dict[str, Any], **settings: Any) -> str:
        """Create a function and return its ARN."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("index.py", code)
        functions = self.client("lambda")
        created = functions.create_function(
            FunctionName=unique("function"),
            Runtime="python3.14",
            Handler="index.handler",
            Role=self.role_arn(self.role(*statements)),
            Code={"ZipFile": content.getvalue()},
            Timeout=20,
            **settings,
        )
        arn: str = created["FunctionArn"]
        # By default, the waiter asks every second.
        functions.get_waiter("function_active_v2").wait(
            FunctionName=arn, WaiterConfig={"Delay": 0.2, "MaxAttempts": 600}
        )
        return arn

    def on_failure_queue(self, function_arn: str, **settings: Any) -> str:
        """Create a queue as the function's on-failure destination and return its ARN."""
        queue = self.queue()
        self.client("lambda").put_function_event_invoke_config(
            FunctionName=function_arn, DestinationConfig={"OnFailure": {"Destination": queue}}, **settings
        )
        return queue

    def allow_invoke(self, function_arn: str, service: str, source: str) -> None:
        self.client("lambda").add_permission(
            FunctionName=function_arn,
            StatementId=unique("statement"),
            Action="lambda:InvokeFunction",
            Principal=service,
            SourceArn=source,
        )

    def invoke(self, function_arn: str, event: Any = None) -> Any:
        """Invoke a function synchronously and return its response."""
        response = self.client("lambda").invoke(FunctionName=function_arn, Payload=json.dumps(event))
        return json.load(response["Payload"])

    def log(self, function_arn: str) -> list[str]:
        logs, group = self.client("logs"), f"/aws/lambda/{function_arn.rsplit(':', 1)[1]}"
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return []
        return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]

    def events(self, function_arn: str) -> list[dict[str, Any]]:
        """Return the events of a function with the code PRINT_EVENT."""
        return [json.loads(line[6:]) for line in self.log(function_arn) if line.startswith("EVENT ")]

    def topic(self, policy: str = "", **attributes: str) -> str:
        """Create a topic and return its ARN."""
        if policy:
            attributes["Policy"] = policy
        arn: str = self.client("sns").create_topic(Name=unique("topic"), Attributes=attributes)["TopicArn"]
        return arn

    def bucket(self, policy: str = "", *, name: str = "") -> str:
        """Create a versioned bucket and return its name. `{bucket}` in the policy stands for the bucket's ARN."""
        name, s3 = name or unique("bucket"), self.client("s3")
        location = {"CreateBucketConfiguration": {"LocationConstraint": self.region}} if self.region != NEAR else {}
        s3.create_bucket(Bucket=name, **location)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        if policy:
            s3.put_bucket_policy(Bucket=name, Policy=policy.replace("{bucket}", f"arn:aws:s3:::{name}"))
        return name

    def deploy(self, resources: dict[str, Any], name: str | None = None) -> tuple[str, str]:
        """Create or update a stack. Return its status, and the reasons of failed resources, one per line."""
        cloudformation, body = self.client("cloudformation"), json.dumps({"Resources": resources})
        if name is None:
            name = unique("stack")
            cloudformation.create_stack(StackName=name, TemplateBody=body)
        else:
            pages = cloudformation.get_paginator("describe_stacks").paginate()
            existing = {stack["StackName"] for page in pages for stack in page["Stacks"]}
            action = cloudformation.update_stack if name in existing else cloudformation.create_stack
            action(StackName=name, TemplateBody=body)

        def final_status() -> str:
            status: str = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
            return "" if status.endswith("_IN_PROGRESS") else status

        status = eventually(final_status, _STACK_SECONDS)
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
        return status, "\n".join(event.get("ResourceStatusReason", "") for event in failed)

    def create(self, resources: dict[str, Any], name: str | None = None) -> None:
        """Create or update a stack, and check that it succeeds."""
        status, reasons = self.deploy(resources, name)
        assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), reasons
