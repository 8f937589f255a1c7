"""Small pieces the gap tests are made of: resources in an emulated account, and waiting for what comes of them."""

import io
import json
import signal
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any, TypeVar

from local.accounts import Accounts

T = TypeVar("T")

PUBLISHER, SUBSCRIBER, STRANGER = "111111111111", "222222222222", "333333333333"
NEAR, FAR = "us-east-1", "us-west-2"

PRINT_EVENT = "import json\n\ndef handler(event, context):\n    print('EVENT ' + json.dumps(event))\n"


def unique(name: str) -> str:
    """A name no other test has."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def interruptible() -> None:
    """For a process that is to be interrupted: one started in the background inherits that it is not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def eventually(check: Callable[[], T], seconds: float = 15.0) -> T:
    """The first true value of `check`, asked until it comes."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"nothing came within {seconds:.0f} s"
        time.sleep(0.05)
    return value


def root(account: str) -> dict[str, str]:
    return {"AWS": f"arn:aws:iam::{account}:root"}


def document(*statements: dict[str, Any]) -> str:
    """A policy of these statements, as JSON; each allows unless it says otherwise."""
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]})


class Account:
    """One account and Region of an emulator, and what a test puts into it."""

    def __init__(self, accounts: Accounts, number: str, region: str = NEAR) -> None:
        self.accounts, self.number, self.region = accounts, number, region

    def client(self, service: str, role: str | None = None) -> Any:
        return self.accounts.client(service, account=self.number, region=self.region, role=role)

    def role(self, *statements: dict[str, Any]) -> str:
        """The name of a new role with these statements, which this account and Lambda may assume."""
        name, iam = unique("role"), self.client("iam")
        trust = document(
            {"Action": "sts:AssumeRole", "Principal": {**root(self.number), "Service": "lambda.amazonaws.com"}}
        )
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(*statements))
        return name

    def role_arn(self, name: str) -> str:
        return f"arn:aws:iam::{self.number}:role/{name}"

    def queue(self, policy: str = "") -> str:
        """The ARN of a new queue."""
        name = unique("queue")
        self.client("sqs").create_queue(QueueName=name, Attributes={"Policy": policy} if policy else {})
        return f"arn:aws:sqs:{self.region}:{self.number}:{name}"

    def queue_open_to(self, service: str, source: str) -> str:
        """The ARN of a new queue that one service may send to for one source (which may hold a `*`)."""
        statement = {
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": "*",
            "Condition": {"ArnLike": {"aws:SourceArn": source}},
        }
        return self.queue(document(statement))

    def messages(self, queue_arn: str) -> list[dict[str, Any]]:
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=queue_arn.rsplit(":", 1)[1])["QueueUrl"]
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    def function(self, code: str = PRINT_EVENT, *statements: dict[str, Any], **settings: Any) -> str:
        """The ARN of a new function."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("index.py", code)
        created = self.client("lambda").create_function(
            FunctionName=unique("function"),
            Runtime="python3.14",
            Handler="index.handler",
            Role=self.role_arn(self.role(*statements)),
            Code={"ZipFile": content.getvalue()},
            Timeout=20,
            **settings,
        )
        arn: str = created["FunctionArn"]
        return arn

    def let_invoke(self, function_arn: str, service: str, source: str) -> None:
        self.client("lambda").add_permission(
            FunctionName=function_arn,
            StatementId=unique("statement"),
            Action="lambda:InvokeFunction",
            Principal=service,
            SourceArn=source,
        )

    def invoke(self, function_arn: str, event: Any = None) -> Any:
        """What a function answers to a synchronous invocation."""
        answer = self.client("lambda").invoke(FunctionName=function_arn, Payload=json.dumps(event))
        return json.load(answer["Payload"])

    def log(self, function_arn: str) -> list[str]:
        logs, group = self.client("logs"), f"/aws/lambda/{function_arn.rsplit(':', 1)[1]}"
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return []
        return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]

    def events(self, function_arn: str) -> list[dict[str, Any]]:
        """The events a PRINT_EVENT function was invoked with."""
        return [json.loads(line[6:]) for line in self.log(function_arn) if line.startswith("EVENT ")]

    def topic(self, policy: str = "", **attributes: str) -> str:
        """The ARN of a new topic."""
        given = {**attributes, **({"Policy": policy} if policy else {})}
        arn: str = self.client("sns").create_topic(Name=unique("topic"), Attributes=given)["TopicArn"]
        return arn

    def bucket(self, policy: str = "") -> str:
        """The name of a new bucket, versioned; `{bucket}` in the policy is its ARN."""
        name, s3 = unique("bucket"), self.client("s3")
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": self.region}} if self.region != NEAR else {}
        s3.create_bucket(Bucket=name, **elsewhere)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        if policy:
            s3.put_bucket_policy(Bucket=name, Policy=policy.replace("{bucket}", f"arn:aws:s3:::{name}"))
        return name

    def deploy(self, resources: dict[str, Any], name: str | None = None) -> tuple[str, str]:
        """Create a stack of these resources, or update it: (status, the reasons of what failed)."""
        cloudformation, body = self.client("cloudformation"), json.dumps({"Resources": resources})
        if name is None:
            name = unique("stack")
            cloudformation.create_stack(StackName=name, TemplateBody=body)
        else:
            existing = {one["StackName"] for one in cloudformation.describe_stacks()["Stacks"]}
            action = cloudformation.update_stack if name in existing else cloudformation.create_stack
            action(StackName=name, TemplateBody=body)

        def settled() -> str:
            status: str = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
            return "" if status.endswith("_IN_PROGRESS") else status

        status = eventually(settled)
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        reasons = [one.get("ResourceStatusReason", "") for one in events if one["ResourceStatus"].endswith("_FAILED")]
        return status, "\n".join(reasons)
