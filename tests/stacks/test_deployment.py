"""The deployment file: what is refused, and that everything wrong is said at once."""

import tomllib
from collections.abc import Iterator
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from shared.deadline import RESERVE_MS
from stacks.deployment import DeploymentError, load_messaging, names, parse_messaging
from stacks.deployment import parse as load_table
from stacks.deployment.payload_lifetime import ANSWER_SECONDS, ways_to_be_late

ROOT = Path(__file__).parents[2]

SOUND: dict[str, Any] = {
    "name": "coatcheck",
    "publisher": {"account": "111111111111", "region": "us-east-1"},
    "senders": [{"name": "shop", "account": "444444444444"}],
    "subscribers": [
        {"name": "orders", "kind": "sqs", "account": "222222222222", "region": "us-west-2"},
        {"name": "billing", "kind": "lambda", "account": "333333333333", "region": "us-east-1"},
    ],
}


BODY = {"filter_policy": {"order": {"kind": ["express"]}}, "filter_policy_scope": "body"}


def changed(*path: str | int, to: object) -> dict[str, Any]:
    """The sound deployment with one value changed."""
    table: Any = deepcopy(SOUND)
    target = table
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = to
    assert isinstance(table, dict)
    return table


PARTNER: dict[str, Any] = {
    "name": "partner",
    "kind": "https",
    "account": "555555555555",
    "region": "us-west-2",
    "endpoint": "https://hooks.example:8443/in?a=b",
}


def https(*, publisher: dict[str, Any] | None = None, **keys: object) -> dict[str, Any]:
    """The sound deployment with an HTTPS subscriber more, of which these keys are so (None: missing)."""
    partner = {key: value for key, value in {**PARTNER, **keys}.items() if value is not None}
    return SOUND | {
        "publisher": SOUND["publisher"] | (publisher or {}),
        "subscribers": [*SOUND["subscribers"], partner],
    }


def problems(table: dict[str, Any]) -> list[str]:
    with pytest.raises(DeploymentError) as refused:
        parse_messaging(table)
    return refused.value.problems


def test_the_example_loads_frozen() -> None:
    deployment = load_messaging(ROOT / "deployments" / "example.toml")
    assert [(s.name, s.kind, s.account, s.region) for s in deployment.subscribers] == [
        ("orders", "sqs", "222222222222", "us-west-2"),
        ("billing", "lambda", "333333333333", "us-east-1"),
    ]
    with pytest.raises(ValueError, match="frozen"):
        deployment.name = "other"


def test_an_https_subscriber_loads() -> None:
    readers = ["arn:aws:iam::555555555555:role/web", "arn:aws:iam::555555555555:role/a/path/web"]
    *_, partner = parse_messaging(https(reader_principals=readers)).subscribers
    assert (partner.kind, names.endpoint(parse_messaging(https()), partner)) == ("https", PARTNER["endpoint"])
    assert sum(ways_to_be_late(partner).values()) == 31


def test_a_subscriber_may_share_the_publishers_account() -> None:
    assert parse_messaging(changed("subscribers", 0, "account", to="111111111111"))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (changed("publisher", "account", to="1234"), "publisher.account = '1234': must be the 12 digits"),
        (changed("publisher", "account", to=111111111111), "publisher.account = 111111111111: must be the 12 digits"),
        (changed("publisher", "senders", to=["444444444444"]), "publisher.senders = ['444444444444']: is not a key"),
        (changed("senders", to=["444444444444"]), "senders[0] = '444444444444': must be"),
        (changed("senders", to={"name": "shop"}), "senders = {'name': 'shop'}: must be tables; write [[senders]]"),
        (changed("senders", 0, "account", to="12"), "senders[0].account = '12': must be the 12 digits"),
        (changed("senders", 0, "name", to="Shop"), "senders[0].name = 'Shop': must be lower-case words"),
        (changed("senders", 0, "role", to="x"), "senders[0].role = 'x': is not a key here"),
        (
            changed("senders", 0, "region", to="cn-north-1"),
            "senders[0].region = 'cn-north-1': is in the partition aws-cn",
        ),
        (changed("senders", to=[SOUND["senders"][0]] * 2), "senders[1].name = 'shop': 'shop-sender' already names the"),
        (changed("senders", 0, "name", to="publisher"), "is what uploads of the publisher's own account are called"),
        (changed("subscribers", 0, "name", to="shop-sender"), "'shop-sender' already names subscribers[0]"),
        (changed("senders", 0, "name", to="s" * 60), "the sender role's name"),
        (changed("publisher", "region", to="us-east-9"), "publisher.region = 'us-east-9': is not an AWS Region"),
        (
            changed("publisher", "regoin", to="x"),
            "publisher.regoin = 'x': is not a key here; did you mean region?",
        ),
        (changed("publisher", to=7), "publisher = 7: must be"),
        (changed("colour", to="red"), "colour = 'red': is not a key here"),
        (changed("name", to="Coat_Check"), "name = 'Coat_Check': must be lower-case words"),
        (changed("organization", to="acme"), "organization = 'acme': must be an AWS Organizations id"),
        (changed("ephemeral", to="yes"), "ephemeral = 'yes': must be a valid boolean"),
        (changed("subscribers", to=[]), "at least one [[subscribers]] table"),
        (changed("subscribers", 0, "kind", to="email"), 'subscribers[0].kind = \'email\': must be "sqs", "lambda" or'),
        (changed("subscribers", 1, "name", to="orders"), "subscribers[1].name = 'orders': 'orders' already names"),
        (changed("subscribers", 1, "name", to="publisher"), "'publisher' already names the publisher's stack"),
        (
            changed("subscribers", 1, "name", to="orders-undelivered"),
            "'orders-undelivered' already names subscribers[0]",
        ),
        (
            changed("subscribers", 1, "name", to="orders-pipeline-trigger"),
            "'orders-pipeline-trigger-dead-letters' already names subscribers[0]",
        ),
        (changed("subscribers", 0, "batch_size", to=11), "subscribers[0].batch_size = 11: must be less than or equal"),
        (changed("subscribers", 1, "batch_size", to=5), 'subscribers[1].batch_size = 5: is a key of kind = "sqs" only'),
        (
            changed("subscribers", 0, "visibility_timeout_seconds", to=1799),
            "subscribers[0].visibility_timeout_seconds = 1799: must be at least 6 x function_timeout_seconds = 1800",
        ),
        (changed("publisher", "fifo", to=True), "a FIFO topic delivers to SQS queues only"),
        (changed("publisher", "maximum_message_bytes", to=1_048_577), "maximum_message_bytes = 1048577: must be less"),
        (changed("publisher", "maximum_message_bytes", to=1_048_576), "with a lambda subscriber at most 262144"),
        (changed("subscribers", 0, "region", to="cn-north-1"), "is in the partition aws-cn"),
        (changed("subscribers", 1, "region", to="ap-east-1"), "does not deliver from another Region to a function"),
        (
            changed("publisher", "payload_lifetime_days", to=70),
            "payload_lifetime_days = 70: a pointer can reach subscribers[0] ('orders') 71 days late (publish retries 2 "
            "+ publish dead letters 14 + SNS retries 23 + redrive queue 14 + queue 4 + dead-letter queue 14), when its "
            "payload is gone; use at least 71",
        ),
        (
            changed("publisher", "outbox", to={"maximum_bytes": 5_800_000_001}),
            "subscribers[0].function_timeout_seconds = 300: to read publisher.outbox.maximum_bytes = 5800000001 and "
            "answer can take 301 s, at 20 MB/s; raise the one (to 900 at most), or lower the other",
        ),
        (
            changed("publisher", "outbox", to={"maximum_bytes": 0}),
            "publisher.outbox.maximum_bytes = 0: must be greater than or equal",
        ),
        (
            changed("publisher", "replicas", to=["us-east-1"]),
            "replicas[0] = 'us-east-1': is the publisher's own Region",
        ),
        (changed("publisher", "replicas", to=["us-west-2"] * 2), "replicas[1] = 'us-west-2': is there already"),
        (changed("publisher", "replicas", to=["eu-west-1"]), "'eu-west-1': no subscriber is in that Region"),
        (changed("publisher", "replicas", to=["cn-north-1"]), "'cn-north-1': is in the partition aws-cn"),
        (changed("publisher", "replicas", to=["mars-1"]), "replicas[0] = 'mars-1': is not an AWS Region"),
        (changed("name", to="default"), "name = 'default': is the name of the event bus that every account has"),
        (changed("subscribers", 0, "name", to="publish-dead-letters"), "already names the publish function's dead"),
        (
            changed("subscribers", 0, "dead_letter_retention_days", to=4),
            "subscribers[0].dead_letter_retention_days = 4: must be more than queue_retention_days = 4",
        ),
        (
            changed("subscribers", 0, "maximum_receives", to=200),
            "subscribers[0].maximum_receives = 200: so many tries, each 1800 s apart",
        ),
        (
            changed("senders", to=[{"name": f"s{n}", "account": f"{n:012}"} for n in range(26)]),
            "senders: in 26 accounts",
        ),
        (
            changed("subscribers", to=[SOUND["subscribers"][0] | {"name": f"s{n}"} for n in range(36)]),
            "subscribers: 36 of them, and 1 senders",
        ),
        (
            changed("subscribers", 0, "landing", to={"retention_days": 0}),
            "subscribers[0].landing.retention_days = 0: must be greater",
        ),
        (changed("subscribers", 0, "landing", to={"day": 1}), "subscribers[0].landing.day = 1: is not a key"),
        (changed("subscribers", 0, "landing", to=True), "subscribers[0].landing = True: must be a table"),
        (
            changed("subscribers", 0, "landing", to=[{"retention_days": 3}]),
            "landing = [{'retention_days': 3}]: must be one table; write [subscribers.landing], in single brackets",
        ),
        (
            changed("landing", to={}),
            "landing = {}: is not a key here; write [subscribers.landing], below the [[subscribers]] that it is for",
        ),
        (
            changed("publisher", "landing", to={}),
            "publisher.landing = {}: is not a key here; write [subscribers.landing]",
        ),
        (changed("subscriber", to={"landing": {}}), "is not a key here; did you mean subscribers?"),
        (changed("task", to={}), "task = {}: is not a key here; write [subscribers.task]"),
        (changed("fifo", to=True), "fifo = True: is not a key here; it belongs in [publisher]"),
        (
            changed("subscribers", 0, "ephemeral", to=True),
            "ephemeral = True: is not a key here; it belongs at the top",
        ),
        (changed("budget", to={}), "budget = {}: is not a key here; it belongs in [research]"),
        (changed("publisher", to=[]), "publisher = []: must be one table; write [publisher], in single brackets"),
        (changed("subscribers", to={"name": "x"}), "must be tables; write [[subscribers]], in double brackets"),
        (changed("senders", to={"name": "x"}), "must be tables; write [[senders]], in double brackets"),
        (changed("subscribers", 1, "landing", to={}), 'subscribers[1].landing = {}: is a key of kind = "sqs" only'),
        (
            changed("subscribers", 0, to=SOUND["subscribers"][0] | {"name": "o" * 23, "landing": {}}),
            "subscribers[0].name = 'ooooooooooooooooooooooo': the landing bucket's name",
        ),
        (changed("name", to="c" * 32), "the payload bucket's name"),
        (changed("name", to="c" * 40), "the archive's name"),
        (changed("publisher", "offload", to="sometimes"), "publisher.offload = 'sometimes': must be 'over-threshold'"),
        (changed("publisher", "always_offload", to=True), "publisher.always_offload = True: is not a key"),
        (changed("publisher", "detail_types", to=[""]), "publisher.detail_types[0] = '': must have"),
        (changed("publisher", "detail_types", to=["a", "a"]), "publisher.detail_types = ['a', 'a']: has one of them"),
        (
            changed("publisher", "detail_types", to=[f"{n:0100}" for n in range(25)]),
            "publisher.detail_types: 25 of them make an event pattern of",
        ),
        (changed("publisher", "archive_days", to=0), "publisher.archive_days = 0: must be greater"),
        (
            changed("subscribers", 0, "filter_policy", to={}),
            "filter_policy = {}: must be a table of SNS's filter policy",
        ),
        (changed("subscribers", 0, "filter_policy", to="kind"), "filter_policy = 'kind': is no JSON"),
        (changed("subscribers", 0, "filter_policy", to={"kind": "scan"}), """kind = 'scan': must be a list"""),
        (changed("subscribers", 0, "filter_policy", to={"kind": {"of": ["scan"]}}), "attributes have none; use a list"),
        (
            changed("subscribers", 0, "filter_policy_scope", to="body"),
            "subscribers[0].filter_policy_scope = 'body': there is no filter_policy",
        ),
        (
            changed("subscribers", 0, to=SOUND["subscribers"][0] | BODY),
            "subscribers[0].filter_policy_scope = 'body': with publisher.offload = 'over-threshold' a message's",
        ),
        (changed("subscribers", 0, "name", to="o" * 30), "the inbox bucket's name"),
        (changed("subscribers", 0, "name", to="o" * 60), "the reader role's name"),
        (
            https(endpoint="http://a.example/in"),
            "subscribers[2].endpoint = 'http://a.example/in': must begin with https",
        ),
        (https(endpoint="HTTPS://a.example/in"), "must begin with https://"),
        (https(endpoint="https://me:secret@a.example/"), "must not hold a user or a password"),
        (https(endpoint="https://a.example/#top"), "must not have a fragment"),
        (https(endpoint="https:///in"), "must name a host"),
        (https(endpoint="https://a_b.example/"), "must name a host"),
        (https(endpoint="https://A.example/"), "must write its host in lower case"),
        (https(endpoint="https://a.example:0443x/"), "must be a URL"),
        (https(endpoint="https://a.example/${aws:username}"), "percent-encoded"),
        (https(endpoint="https://[::1]/"), "must name a host"),
        (https(endpoint="https://10.0.0.1/in"), "SNS posts to no private address"),
        (https(endpoint="https://localhost:8443/in"), "SNS posts to no private address"),
        (https(endpoint=None), "subscribers[2].endpoint: is missing"),
        (
            https(reader_principals=["arn:aws:iam::555555555555:user/x"]),
            "subscribers[2].reader_principals[0] = 'arn:aws:iam::555555555555:user",
        ),
        (
            https(reader_principals=["arn:aws:iam::666666666666:role/x"]),
            "reader_principals[0] = 'arn:aws:iam::666666666666:role/x': must be a role of the subscriber's own",
        ),
        (https(batch_size=2), 'subscribers[2].batch_size = 2: is a key of kind = "sqs" only'),
        (https(function_timeout_seconds=60), 'is a key of kind = "sqs" or "lambda" only'),
        (https(publisher={"fifo": True}), 'subscribers[2].kind = "https": publisher.fifo is true'),
        (
            https(publisher={"maximum_message_bytes": 300_000}),
            "does not deliver over HTTPS from a topic with more than",
        ),
        (
            https(publisher={"payload_lifetime_days": 30}),
            "31 days late (publish retries 2 + publish dead letters 14 + ",
        ),
        (
            changed("subscribers", to=[PARTNER, PARTNER | {"name": "twin"}]),
            "subscribers[1].endpoint = 'https://hooks.example:8443/in?a=b': subscribers[0] has it already",
        ),
        (
            changed(
                "subscribers",
                to=[PARTNER | {"name": n, "endpoint": f"https://{n}.example/".ljust(1502, "x")} for n in "abcd"],
            ),
            "subscribers: their endpoints have 6008 characters together; the topic's policy has room for 6000",
        ),
    ],
)
def test_refused_with_key_and_value(table: dict[str, Any], expected: str) -> None:
    found = problems(table)
    assert [problem for problem in found if expected in problem], found


def test_every_problem_is_said_at_once() -> None:
    """Those between the parts too, when the parts themselves are wrong elsewhere."""
    table = changed("publisher", "account", to="1")
    table["publisher"] |= {"payload_lifetime_days": 3, "fifo": True}
    table["subscribers"][0] |= {"account": "2", "visibility_timeout_seconds": 60, "name": "o" * 60}
    table["subscribers"][1] |= {"name": "o" * 60, "region": "mars-1"}
    table["unknown"] = 1
    said = problems(table)
    for expected in (
        "publisher.account = '1'",
        "publisher.payload_lifetime_days = 3: a pointer can reach subscribers[0]",
        "publisher.payload_lifetime_days = 3: a pointer can reach subscribers[1]",
        "subscribers[0].account = '2'",
        "subscribers[0].visibility_timeout_seconds = 60: must be at least 6 x",
        f"subscribers[0].name = '{'o' * 60}': the reader role's name",
        f"subscribers[1].name = '{'o' * 60}': '{'o' * 60}' already names subscribers[0]",
        "subscribers[1].region = 'mars-1'",
        'subscribers[1].kind = "lambda": publisher.fifo is true',
        "unknown = 1",
    ):
        assert [line for line in said if line.startswith(expected)], (expected, said)
    # Nothing is said of the values that stand in for wrong ones.
    assert not [line for line in said if "stand-in" in line or "000000000000" in line]


def test_the_lifetime_holds_at_the_sum_and_can_be_waived_by_name() -> None:
    deployment = parse_messaging(changed("publisher", "payload_lifetime_days", to=82))
    assert [sum(ways_to_be_late(s).values()) for s in deployment.subscribers] == [71, 82]
    landing = changed("subscribers", 0, "landing", to={})
    assert parse_messaging(landing).publisher.payload_lifetime_days == 101
    landing["publisher"]["payload_lifetime_days"] = 85
    assert "queue 4 + dead-letter queue 14 + execution retries 1 + execution redriven 14)" in problems(landing)[0]
    waived = changed("publisher", "payload_lifetime_days", to=1)
    waived["publisher"]["accept_expired_pointers"] = True
    assert parse_messaging(waived)


def test_a_missing_file_names_those_beside_it(tmp_path: Path) -> None:
    (tmp_path / "prod.toml").write_text("")
    with pytest.raises(DeploymentError, match=r"no such file.*prod\.toml"):
        load_messaging(tmp_path / "production.toml")


@pytest.mark.parametrize(
    "content",
    [b"name = ", b"\0", "name = 'ä'".encode("latin-1"), b"name = " + b"[" * 10_000, b"name = " + b"9" * 5_000],
    ids=["half", "binary", "not UTF-8", "deep", "long"],
)
def test_what_is_not_toml_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(DeploymentError, match="cannot be read as TOML"):
        load_messaging(tmp_path / "bad.toml")
    with pytest.raises(DeploymentError, match="cannot be read as TOML"):
        load_messaging(tmp_path)


def test_a_mark_that_an_editor_put_in_front_is_no_slip(tmp_path: Path) -> None:
    (tmp_path / "marked.toml").write_bytes(b"\xef\xbb\xbf" + (ROOT / "deployments" / "example.toml").read_bytes())
    assert load_messaging(tmp_path / "marked.toml").name == "coatcheck"


def _paths(value: object, to: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """To every value in a table, and to the tables in it; a filter policy is a value, with tests of its own."""
    if to:
        yield to
    if to[-1:] == ("filter_policy",):
        return
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in inner:
        yield from _paths(member, (*to, step))


@pytest.mark.parametrize(
    "wrong", [[[]], {"": 7}, date(2026, 1, 1), float("nan"), 10**400], ids=["list", "table", "date", "nan", "long"]
)
@pytest.mark.parametrize("example", ["routing", "everywhere", "workflow", "research-messages"])
def test_whatever_stands_in_the_place_of_a_value_is_refused_by_its_key(example: str, wrong: object) -> None:
    """And never with another error. What nobody minds, such as a number where any value will do, loads."""
    file = ROOT / "deployments" / f"{example}.toml"
    table, refused = tomllib.loads(file.read_text()), 0
    for *steps, last in _paths(table):
        spoilt: Any = deepcopy(table)
        target = spoilt
        for step in steps:
            target = target[step]
        target[last] = wrong
        said: list[str] = []
        try:
            load_table(spoilt, file)
        except DeploymentError as error:
            said, refused = error.problems, refused + 1
        spelt = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
        keys = (f"{spelt}.{last}".lstrip("."), f"{spelt}[{last}]".lstrip("."))
        assert not said or [line for line in said if line.startswith(keys)], (keys, said)
    assert refused > 10


def test_a_filter_on_the_body_is_for_a_topic_that_never_offloads() -> None:
    table = changed("subscribers", 0, to=SOUND["subscribers"][0] | BODY)
    table["publisher"]["offload"] = "never"
    orders, _ = parse_messaging(table).subscribers
    assert orders.filter_policy == '{"order":{"kind":["express"]}}'


def test_what_a_function_keeps_back_of_its_time_is_counted_with() -> None:
    assert ANSWER_SECONDS * 1000 == RESERVE_MS
