"""Problems: the texts of invalid values, and the remedies for unknown keys."""

from typing import Any

import pytest

from stacks.deployment import Deployment
from stacks.deployment.types import Unique, is_array, tables, tables_of
from tests.stacks.deployment.samples import FORM, VALID, billing, changed, https, orders, problem, problems, publisher


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (publisher(account="1234"), 'publisher.account = "1234": must be the 12 digits'),
        (publisher(account=111111111111), "publisher.account = 111111111111: must be the 12 digits"),
        (publisher(region="us-east-9"), 'publisher.region = "us-east-9": must be an AWS Region with SNS'),
        (changed("publisher", "region", to=None), "publisher.region: is missing. Add it."),
        (changed("publisher", to=None), "publisher: is missing. Add [publisher]."),
        (changed("publisher", to=7), "publisher = 7: must be a table."),
        (changed("publisher", to=[]), "publisher = []: must be one table. Write [publisher], in single brackets."),
        (changed("senders", to=["444444444444"]), 'senders[0] = "444444444444": must be a table.'),
        (changed("senders", to={"name": "shop"}), 'senders = { name = "shop" }: must be an array of tables. Write [['),
        (changed("senders", 0, "account", to="12"), 'senders[0].account = "12": must be the 12 digits'),
        (changed("senders", 0, "name", to="Shop"), 'senders[0].name = "Shop": must be lower-case words'),
        (changed("name", to="Coat_Check"), 'name = "Coat_Check": must be lower-case words'),
        (changed("name", to=7), "name = 7: must be text, in quotes."),
        (changed("name", to="default"), 'name = "default": is the name of the account\'s default event bus. Choose'),
        (changed("name", to="sthree"), 'name = "sthree": begins the names of buckets, and S3 reserves this beginning.'),
        (changed("name", to="amzn-s3-demo-shop"), "and S3 reserves this beginning. Choose another name."),
        (changed("organization", to="acme"), 'organization = "acme": must be an AWS Organizations id'),
        (changed("ephemeral", to="yes"), 'ephemeral = "yes": must be true or false.'),
        (changed("subscribers", to=None), "subscribers: is missing. Add [[subscribers]]."),
        (changed("subscribers", to=[]), "subscribers = []: must have 1 or more members."),
        (changed("subscribers", to={"name": "x"}), "must be an array of tables. Write [[subscribers]], in double bra"),
        (changed("subscribers", 0, "kind", to="mail"), 'subscribers[0].kind = "mail": must be "sqs", "lambda" or "htt'),
        (changed("subscribers", 0, "kind", to=None), 'subscribers[0].kind: is missing. Use "sqs", "lambda" or "https"'),
        (orders(batch_size=11), "subscribers[0].batch_size = 11: must be at most 10."),
        (orders(batch_size=1.5), "subscribers[0].batch_size = 1.5: must be an integer."),
        (billing(maximum_concurrency=0), "subscribers[1].maximum_concurrency = 0: must be at least 1."),
        (billing(maximum_concurrency=10_001), "subscribers[1].maximum_concurrency = 10001: must be at most 10000."),
        (orders(landing={"retention_days": 0}), "subscribers[0].landing.retention_days = 0: must be at least 1."),
        (orders(landing=True), "subscribers[0].landing = true: must be a table."),
        (orders(landing=[{}]), "landing = [{}]: must be one table. Write [subscribers.landing], in single brackets."),
        (publisher(maximum_message_bytes=1_048_577), "publisher.maximum_message_bytes = 1048577: must be at most 1048"),
        (publisher(outbox={"maximum_bytes": 0}), "publisher.outbox.maximum_bytes = 0: must be at least 1024."),
        (publisher(archive_days=0), "publisher.archive_days = 0: must be at least 1."),
        (publisher(replicas=["mars-1"]), 'publisher.replicas[0] = "mars-1": must be an AWS Region'),
        (publisher(replicas=["us-west-2"] * 2), 'contains "us-west-2" twice. Remove the duplicate.'),
        (publisher(replicas="us-west-2"), 'publisher.replicas = "us-west-2": must be an array.'),
        (publisher(offload="sometimes"), '"sometimes": must be "over-threshold", "always" or "never".'),
        (publisher(detail_types=[""]), 'publisher.detail_types[0] = "": must have 1 or more characters.'),
        (publisher(detail_types=["a" * 129]), "must have 128 or fewer characters."),
        (publisher(detail_types=["a", "a"]), 'publisher.detail_types = ["a", "a"]: contains "a" twice.'),
        (changed("operations", to={"emails": ["x"]}), 'operations.emails[0] = "x": must be an e-mail address.'),
        (changed("operations", to={"emails": ["a.b@c.de", "ab@c.de"]}), "has ab@c.de, which differs from a.b@c.de by"),
        (changed("operations", to={"emails": ["a@b.de"] * 11}), "must have 10 or fewer members."),
        (changed("operations", to={"log_retention_days": 2}), "log_retention_days = 2: must be one of 1, 3, 5, 7, 14,"),
        (changed("operations", to={"runbook": "docs/runbook.md"}), 'runbook = "docs/runbook.md": must be a URL'),
        (https(endpoint="http://a.example/in"), 'endpoint = "http://a.example/in": must begin with https://'),
        (https(endpoint="HTTPS://a.example/in"), "must begin with https://"),
        (https(endpoint="https://me:secret@a.example/"), "must not contain credentials"),
        (https(endpoint="https://a.example/#top"), "must not have a fragment"),
        (https(endpoint="https:///in"), "must have a host"),
        (https(endpoint="https://a_b.example/"), "must have a host"),
        (https(endpoint="https://A.example/"), "must have its host in lower case"),
        (https(endpoint="https://a.example:0443x/"), "must be a URL"),
        (https(endpoint="https://a.example/${aws:username}"), "Percent-encode special characters"),
        (https(endpoint="https://[::1]/"), "must have a host"),
        (https(endpoint="https://10.0.0.1/in"), "SNS does not post to private addresses"),
        (https(endpoint="https://localhost:8443/in"), "SNS does not post to private addresses"),
        (https(reader_principals=["arn:aws:iam::555555555555:user/x"]), "must be the ARN of an IAM role"),
    ],
)
def test_invalid_value_is_reported_with_key(table: dict[str, Any], expected: str) -> None:
    assert expected in problem(table)


@pytest.mark.parametrize(
    ("table", "remedy"),
    [
        (changed("colour", to="red"), 'colour = "red": is not a key here. Remove it.'),
        (changed("fifo", to=True), "fifo = true: is not a key here. Move it to [publisher]."),
        (changed("region", to="x"), "Move it to [[platform.networks]] or [publisher] or [[senders]] or"),
        (changed("landing", to={}), "Write [subscribers.landing] below its [[subscribers]] table."),
        (changed("task", to={}), "Write [subscribers.task] below its [[subscribers]] table."),
        (changed("budget", to={}), "Write [research.budget]."),
        (changed("subscriber", to={}), "Rename it to subscribers, or remove it."),
        (publisher(regoin="x"), 'publisher.regoin = "x": is not a key here. Rename it to region, or remove it.'),
        (publisher(landing={}), "publisher.landing = {}: is not a key here. Write [subscribers.landing] below its"),
        (publisher(senders=["4"]), 'publisher.senders = ["4"]: is not a key here. Move it to the top of the file.'),
        (publisher(maximum_bytes=1), "maximum_bytes = 1: is not a key here. Move it to [publisher.outbox]."),
        (changed("senders", 0, "role", to="x"), 'senders[0].role = "x": is not a key here.'),
        (orders(ephemeral=True), "subscribers[0].ephemeral = true: is not a key here. Move it to the top of the file."),
        (orders(definition="a.json"), "Move it to [subscribers.state_machine]."),
        (orders(landing={"day": 1}), "subscribers[0].landing.day = 1: is not a key here."),
        (billing(batch_size=5), 'batch_size = 5: is a key of kind = "sqs" only. Remove it or change kind.'),
        (https(landing={}), 'subscribers[2].landing = {}: is a key of kind = "sqs" or "lambda" only.'),
        (https(application="queue"), 'application = "queue": is a key of kind = "sqs" or "lambda" only.'),
        (https(function_timeout_seconds=60), 'is a key of kind = "sqs" or "lambda" only.'),
        (https(batch_size=2), 'subscribers[2].batch_size = 2: is a key of kind = "sqs" only.'),
    ],
)
def test_unknown_key_is_reported_with_remedy(table: dict[str, Any], remedy: str) -> None:
    assert remedy in problem(table)


def test_key_after_a_subscribers_table_is_reported_with_place() -> None:
    network = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"], "maximum_concurrency": 50}
    assert "network.maximum_concurrency = 50: is not a key here. Move it to [[subscribers]]." in problem(
        billing(network=network)
    )


def test_missing_endpoint_is_reported() -> None:
    table = https()
    del table["subscribers"][2]["endpoint"]
    assert problem(table) == "subscribers[2].endpoint: is missing. Add it."


def test_table_without_required_tables_is_reported() -> None:
    assert problems({"name": "coatcheck"}) == [
        "publisher: is missing. Add [publisher].",
        "subscribers: is missing. Add [[subscribers]].",
    ]


@pytest.mark.parametrize(
    "line",
    ["account: is missing", "account = 1 must be text.", "account = 1: is missing; add it.", "an account: is missing."],
)
def test_form_rejects_other_forms(line: str) -> None:
    assert not FORM.fullmatch(line)


def test_array_with_invalid_members_is_not_reported_as_too_short() -> None:
    table = VALID | {"subscribers": [{"kind": "sqs", "name": "orders", "account": "1", "region": "us-east-1"}]}
    assert problem(table).startswith('subscribers[0].account = "1"')


def test_arrays_of_values_reject_duplicates() -> None:
    """AWS or CDK rejects a repeated recipient, role, subnet or bucket. A command may repeat a word."""
    repeatable = {
        f"{model.__name__}.{name}"
        for _, model in tables(Deployment)
        for name, field in model.model_fields.items()
        if is_array(field.annotation) and not [*tables_of(field.annotation)] and Unique not in field.metadata
    }
    assert repeatable == {"EcsTaskConfig.command"}
