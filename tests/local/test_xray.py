"""X-Ray's gap: a template that lets SNS send traces can be deployed."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.accounts import Accounts
from tests.local.support import PUBLISHER, Account, document

pytestmark = pytest.mark.system

SNS = {"Action": "xray:PutTraceSegments", "Principal": {"Service": "sns.amazonaws.com"}, "Resource": "*"}
TRACES: dict[str, Any] = {
    "Traces": {
        "Type": "AWS::XRay::ResourcePolicy",
        "Properties": {"PolicyName": "traces", "PolicyDocument": document(SNS)},
    }
}


def test_a_policy_of_traces_is_deployed_and_changed(publisher: Account) -> None:
    assert publisher.deploy(TRACES, "traces") == ("CREATE_COMPLETE", "")
    changed = json.loads(json.dumps(TRACES).replace("PutTraceSegments", "GetSamplingRules"))
    assert publisher.deploy(changed, "traces") == ("UPDATE_COMPLETE", "")


def test_gap_policy_of_traces_by_cloudformation(bare: Accounts) -> None:
    with pytest.raises(ClientError, match="Unrecognized resource types"):
        Account(bare, PUBLISHER).deploy(TRACES)
