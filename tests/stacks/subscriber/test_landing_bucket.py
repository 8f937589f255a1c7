"""The landing bucket, its key and the copy function."""

import json

import pytest

from tests.stacks.policies import Template, resources
from tests.stacks.subscriber.support import EXAMPLE, changed, find_one, template

BUCKET = "coatcheck-orders-landing-222222222222-us-west-2"
LANDING = changed(EXAMPLE, "orders", landing={"retention_days": 7})


@pytest.fixture(scope="module")
def orders() -> Template:
    return template(LANDING, "orders")


def test_landed_payloads_expire_after_the_files_days(orders: Template) -> None:
    _, bucket = find_one(orders, "AWS::S3::Bucket", BucketName=BUCKET)
    (expiry,) = bucket["LifecycleConfiguration"]["Rules"]
    assert expiry["ExpirationInDays"] == 7
    assert expiry["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}


@pytest.mark.parametrize(("ephemeral", "policy"), [(False, "RetainExceptOnCreate"), (True, "Delete")])
def test_landing_bucket_and_key_are_retained_unless_ephemeral(ephemeral: bool, policy: str) -> None:
    own = template(LANDING.model_copy(update={"ephemeral": ephemeral}), "orders")
    # The logical ids are pinned: CloudFormation replaces a resource whose id changes.
    stateful = [own["Resources"][name] for name in ("LandingKey7CFD3347", "LandingBucket6D60388F")]
    assert [resource["DeletionPolicy"] for resource in stateful] == [policy] * 2


def test_copy_function_has_two_stores_and_fifteen_minutes(orders: Template) -> None:
    _, function = find_one(orders, "AWS::Lambda::Function", FunctionName="coatcheck-orders-copy")
    assert function["Timeout"] == 900
    variables = function["Environment"]["Variables"]
    assert [(store["bucket"], store["prefix"]) for store in json.loads(variables["TRUSTED_STORES"])] == [
        ("coatcheck-payloads-111111111111-us-east-1", "payloads/"),
        ("coatcheck-orders-staging-222222222222-us-west-2", "inline/"),
    ]
    assert json.loads(variables["LANDING_STORE"])["bucket"] == BUCKET


def test_stack_without_landing_has_no_key_and_no_copy_function() -> None:
    own = template(EXAMPLE, "orders")
    assert not [name for name in own["Resources"] if name.startswith("Landing")]
    assert len(resources(own, "AWS::S3::Bucket")) == 1
