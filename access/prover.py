"""Proof with z3 that a policy allows the intended requests, and no others.

A request is a set of unknowns: principal, resource, context. Policy and intent are formulas over them. The solver finds
a request on which they differ, or proves that there is none. If it can do neither, that is a failure (`Undecided`).

The unknowns have more values than AWS allows: any string may be an account, and any context key may be absent. So the
proof rests on no assumption about them. ARNs are compared component by component, as AWS does.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import z3  # type: ignore[import-untyped]

from access.actions import matches, regex, representatives, witnesses
from access.inventory import Inventory, ResourcePolicy, Role, Statement, as_list
from access.terms import ARN_KEYS, MULTIVALUED_KEYS

_TIMEOUT_MS = 20_000  # of one question to the solver
_EXAMPLE_MS = 1000  # of the same with single values of variables


class Undecided(AssertionError):
    """The solver neither found a counterexample nor excluded one."""


class Unmodelled(ValueError):
    """A policy contains an element that the prover does not model. Without it the proof would be incomplete."""


@dataclass(frozen=True)
class Counterexample:
    """A request on which policy and intent differ."""

    arn: str
    allowed: bool
    """True: the policy allows it, the intent does not. False: the intent allows it, the policy does not."""
    request: Mapping[str, str]
    possible: bool = True
    """Whether AWS can receive the request. The proof is about more requests than that."""

    def __str__(self) -> str:
        decision = "allows" if self.allowed else "denies"
        lines = [f"{self.arn}: the policy {decision} this request, the intent does not"]
        lines += [f"    {name} = {value}" for name, value in self.request.items()]
        return "\n".join(lines)


def prove(subject: ResourcePolicy | Role, intended: Sequence[Statement]) -> Iterator[Counterexample]:
    """Yield the requests on which a resource's or a role's policies and the intent differ. None: they are proved equal.

    A role must also have the intended permissions within its permissions boundary, which must not reduce them.
    """
    own, intended = _modelled(subject.statements), _modelled(intended)
    differs = False
    for counterexample in _compare(subject, own, intended):
        differs = True
        yield counterexample  # one by one: each costs the solver seconds in the worst case, and the first can suffice
    if isinstance(subject, Role) and subject.boundary and not differs:
        if not subject.bounds:
            raise Unmodelled(
                f"the permissions boundary {subject.boundary} is not known. Give its policy: --boundary FILE"
            )
        yield from _compare(subject, own, intended, bounds=_modelled(subject.bounds["Statement"]))


def broader_requests(before: Inventory, after: Inventory) -> Iterator[Counterexample]:
    """Yield requests that policies allow and that the earlier ones did not: one for each set of like actions.

    Policies of resources are compared for callers whose own policies allow all requests, and policies of roles for
    resources whose policies do.
    """
    pairs: list[tuple[ResourcePolicy | Role, ResourcePolicy | Role | None]] = [
        *((new, before.resource_policies.get(arn)) for arn, new in sorted(after.resource_policies.items())),
        *((new, before.roles.get(arn)) for arn, new in sorted(after.roles.items())),
    ]
    for new, old in pairs:
        earlier = old.statements if old else []
        if new.statements != earlier:
            yield from _compare(new, new.statements, earlier, broader=True)


_PROVED: set[str] = set()
"""Questions whose answer is that there is no difference. Roles, and mutants of one deployment, share most questions."""


def _compare(
    subject: ResourcePolicy | Role,
    own: Sequence[Statement],
    other: Sequence[Statement],
    *,
    bounds: Sequence[Statement] = (),
    broader: bool = False,
) -> Iterator[Counterexample]:
    """Yield requests on which statements, within a role's boundary, and other statements differ.

    `broader`: only requests that the other statements deny.
    """
    # The same question about another role has the same answer.
    about = "role" if isinstance(subject, Role) else (subject.kind, subject.arn, subject.account)
    for action in _actions_on(subject, _all_actions([*own, *other, *bounds])):
        parts = [_narrowed(statements, action) for statements in (own, other, bounds)]
        question = repr((about, parts, bool(bounds), broader))
        if question in _PROVED:
            continue
        request = _Request(action, subject)
        allowed, intended, within = (_decide(request, part) for part in parts)
        if bounds:
            allowed = z3.And(allowed, within)
        yield from _difference(request, allowed, z3.And(allowed, intended) if broader else intended, question)


_SERVICES: dict[str, tuple[str, ...]] = {"role": ("sts",), "endpoint": ()}
"""The services whose actions a policy decides, if not the service in the ARN. A VPC endpoint's policy decides all."""


def _actions_on(subject: ResourcePolicy | Role, patterns: list[str]) -> list[str]:
    """Return the actions to ask about. AWS does not evaluate a resource's policy for another service's action."""
    if isinstance(subject, Role):
        return representatives(patterns, ("iam", "sts"))
    services = _SERVICES.get(subject.kind, (subject.arn.split(":")[2],))
    return representatives(patterns, services, others=not services)


def _all_actions(statements: Iterable[Statement]) -> list[str]:
    return [pattern for statement in statements for pattern in _action_patterns(statement)]


def _modelled(statements: Sequence[Statement]) -> Sequence[Statement]:
    for statement in statements:
        if unknown := set(statement) - _ELEMENTS:
            raise Unmodelled(f"element {', '.join(sorted(unknown))} in {statement}")
        if statement["Effect"] not in ("Allow", "Deny"):
            raise Unmodelled(f"effect {statement['Effect']} in {statement}")
    return statements


def _narrowed(statements: Iterable[Statement], action: str) -> list[Statement]:
    """Return the statements about an action, without their actions and names."""
    return [
        {name: value for name, value in statement.items() if name not in ("Sid", "Action", "NotAction")}
        for statement in statements
        if _has(_action_patterns(statement), action) != ("NotAction" in statement)
    ]


def _has(patterns: Iterable[str], action: str) -> bool:
    return any(matches(pattern, action) for pattern in patterns)


def _difference(
    request: "_Request", actual: z3.BoolRef, intended: z3.BoolRef, question: str
) -> Iterator[Counterexample]:
    """Yield a request on which both sides differ. Without one, the question is proved."""
    differ = z3.simplify(z3.Xor(actual, intended))
    if not z3.is_false(differ):
        formula = z3.And(request.facts(), differ)
        # With single values of variables, and single resources, the question is easier. It cannot be proved with them.
        model = example = _example(request, z3.And(formula, request.plausible()))
        if model is None:
            answer, model = _solve(formula, _TIMEOUT_MS)
            if answer == z3.unsat:
                _PROVED.add(question)
                return
        if model is None:
            model = _example(request, formula)
        if model is None:
            raise Undecided(f"{request.subject.arn}, {request.action}: the solver's time is over")
        allowed = z3.is_true(model.eval(z3.substitute(actual, *request.assumed), model_completion=True))
        yield Counterexample(request.subject.arn, allowed, request.describe(model), example is not None)
        return
    _PROVED.add(question)


_Values = list[tuple[Any, Any]]
"""Unknowns with their values."""


def _example(request: "_Request", question: z3.BoolRef) -> z3.ModelRef | None:
    """Return a model with the first of the request's examples that has one."""
    for values in request.examples():
        _, model = _solve(z3.simplify(z3.substitute(question, *values)), _EXAMPLE_MS)
        if model is not None:
            request.assumed = values
            return model
    return None


def _solve(question: z3.BoolRef, timeout_ms: int) -> tuple[Any, z3.ModelRef | None]:
    """Return the solver's answer, and for `sat` its model."""
    solver = z3.Solver()
    solver.set("timeout", timeout_ms)
    solver.add(question)
    answer = solver.check()
    return answer, solver.model() if answer == z3.sat else None


# A request -----------------------------------------------------------------------------------------------------------

ANONYMOUS, PRINCIPAL, SERVICE, FEDERATED = range(4)
_KINDS = {
    ANONYMOUS: "an anonymous caller",
    PRINCIPAL: "a user or role",
    SERVICE: "an AWS service",
    FEDERATED: "an identity provider",
}
_VARIABLE = re.compile(r"\$\{([A-Za-z0-9:/-]+)\}")


class _Text:
    """An unknown text that patterns test.

    If no pattern has a variable, a few candidates represent all texts. Otherwise it is an unknown string.
    """

    def __init__(self, name: str, *, known: Iterable[str] = (), possible: Callable[[str], bool] | None = None) -> None:
        self.tests: dict[str, z3.BoolRef] = {}
        """Whether the text matches a pattern."""
        self.is_string = False
        self._name, self._unknown, self._which = name, z3.String(name), z3.Int(f"which {name}")
        self._known, self._possible = tuple(known), possible or (lambda _: True)
        self._candidates: list[str] = []

    @property
    def string(self) -> Any:
        """The text as an unknown string."""
        self.is_string = True
        return self._unknown

    def like(self, pattern: str) -> z3.BoolRef:
        """Return whether the text matches a pattern without variables."""
        return self.tests.setdefault(pattern, z3.Bool(f"{self._name} ~ {pattern}"))

    def equals(self, value: str) -> z3.BoolRef:
        """Return whether the text is a value, in which `*` and `?` are characters."""
        return self.like(value.translate(_LITERAL))

    def facts(self) -> list[z3.BoolRef]:
        """Return what relates the tests to the text."""
        texts = None if self.is_string else witnesses(frozenset([*self.tests, *self._known]))
        self._candidates = sorted(filter(self._possible, texts or ()))
        assert texts is None or self._candidates, self._name
        if texts is None:
            return [test == _like(self.string, pattern) for pattern, test in self.tests.items()]
        return [
            z3.Or([self._which == index for index, _ in enumerate(self._candidates)]),
            *(test == self.is_one_of(regex(pattern).fullmatch) for pattern, test in self.tests.items()),
        ]

    def is_one_of(self, accepts: Callable[[str], object]) -> z3.BoolRef:
        """Return whether the text is one of the candidates that a function accepts. A string may be any text."""
        own = [self._which == index for index, candidate in enumerate(self._candidates) if accepts(candidate)]
        return z3.Or(own) if self._candidates else z3.BoolVal(True)

    def is_readable(self) -> z3.BoolRef:
        """Return whether the text is not empty and, as a string, has letters, digits and some marks only."""
        return z3.InRe(self._unknown, _READABLE_TEXT) if self.is_string else self.is_one_of(bool)

    def given(self, text: str) -> _Values:
        """Return the unknowns with their values for one text."""
        tests = [(test, z3.BoolVal(bool(regex(pattern).fullmatch(text)))) for pattern, test in self.tests.items()]
        return [(self._unknown, z3.StringVal(text)), *tests]

    def describe(self, text_of: Callable[[Any], str]) -> str:
        """Return the text of a model."""
        if not self._candidates:
            return text_of(self._unknown)
        return self._candidates[int(text_of(self._which))].translate(_READABLE)


_READABLE_TEXT = z3.Plus(z3.Union(z3.Range("-", ":"), z3.Range("A", "Z"), z3.Range("a", "z")))
_LITERAL = {ord("*"): "\ue100", ord("?"): "\ue101"}
_READABLE = {0xE100: "*", 0xE101: "?"}


class _Key:
    """A context key: its presence, and its value or values. The value of an ARN key has components."""

    def __init__(self, name: str, account: _Text) -> None:
        self.name = name
        self.present = z3.Bool(f"{name}?")
        self.uses = 0
        self.is_arn = name.lower() in ARN_KEYS
        # One value for each test of the key suffices to satisfy or violate all tests. `_count_use` checks the number.
        count = 5 if name.lower() in MULTIVALUED_KEYS else 0
        self.values = [_Text(f"{name} {n}") for n in range(count)]
        self.texts = self.values or ([] if self.is_arn else [_Text(name)])
        if self.is_arn:
            # Only the last component may contain a colon. Otherwise one string could be two ARNs.
            self.texts = [
                _Text(f"{name} {part}", known=["*:*", known], possible=None if part == "resource" else _has_no_colon)
                for part, known in _COMPONENTS.items()
            ]
            if name.lower() == "aws:principalarn":
                self.texts[4] = account  # AWS sets the key to the caller's ARN

    @property
    def string(self) -> Any:
        """The value as one string. An ARN's components have a colon between them."""
        if self.values:
            raise Unmodelled(f"{self.name}, which has several values, compared as one")
        joined = [self.texts[0].string]
        for text in self.texts[1:]:
            joined += [z3.StringVal(":"), text.string]
        return z3.Concat(*joined) if len(joined) > 1 else joined[0]

    def describe(self, text_of: Callable[[Any], str]) -> str:
        """Return the value of a model."""
        return (":" if self.is_arn else " ").join(text.describe(text_of) for text in self.texts)


_COMPONENTS = {"arn": "arn", "partition": "aws", "service": "iam", "region": ""} | {
    "account": "999999999999",
    "resource": "role/other",
}
"""The components of an ARN, each with a value for counterexamples."""


def _has_no_colon(text: str) -> bool:
    return ":" not in text


class _Request:
    """All requests for one action that the policy of a resource, or the policies of a role, decide.

    The resource is any for a role and for a VPC endpoint, and otherwise the policy's own, or an object of a bucket.
    """

    def __init__(self, action: str, subject: ResourcePolicy | Role) -> None:
        self.action, self.subject = action, subject
        kind = "" if isinstance(subject, Role) else subject.kind
        self._root, self._has_parts = subject.arn if kind not in ("", "endpoint") else None, kind == "bucket"
        self.owner = subject.account if kind not in ("", *_DECIDE_ALONE) else None
        """The account whose own policies suffice."""
        self.kind = z3.Int("who")
        self.account = _Text("account", known=["*:*", "999999999999"], possible=_has_no_colon)
        self.name = _Text("name of service or identity provider", known=["other.amazonaws.com"])
        own = [self._root, f"{self._root}/*"] if self._root else ["arn:*:*:*:*:*"]
        self.resource = _Text("resource", known=own, possible=self._is_possible)
        self.assumed: _Values = []
        self.keys: dict[str, _Key] = {}
        self._variables: set[str] = set()
        self._patterns: set[str] = set()

    def _is_possible(self, resource: str) -> bool:
        root = self._root
        return root is None or resource == root or (self._has_parts and resource.startswith(f"{root}/"))

    def key(self, name: str) -> _Key:
        return self.keys.setdefault(name.lower(), _Key(name, self.account))

    def like(self, value: "_Text | _Key", pattern: str) -> z3.BoolRef:
        """Return whether a value matches a pattern with the values of this request as variables."""
        pieces = _VARIABLE.split(pattern)
        if len(pieces) == 1:
            text = value.texts[0] if isinstance(value, _Key) and not value.is_arn and not value.values else value
            return text.like(pattern) if isinstance(text, _Text) else _like(text.string, pattern)
        *_, last = pieces
        if any(wildcard in piece for piece in (*pieces[::2][:-1], last.removesuffix("*")) for wildcard in "*?"):
            raise Unmodelled(f"wildcards before a variable in {pattern!r}")
        self._variables |= {name.lower() for name in pieces[1::2]}
        keys = [self.key(name) for name in pieces[1::2]]
        pieces[-1] = last.removesuffix("*")
        terms = [
            keys[n // 2].string if n % 2 else z3.StringVal(piece) for n, piece in enumerate(pieces) if n % 2 or piece
        ]
        expected = z3.Concat(*terms) if len(terms) > 1 else terms[0]
        matched = z3.PrefixOf(expected, value.string) if last.endswith("*") else expected == value.string
        # A variable without a value matches nothing.
        return z3.And(*(key.present for key in keys), matched)

    def facts(self) -> z3.BoolRef:
        """Return the facts that hold for every request."""
        facts = [self.kind >= ANONYMOUS, self.kind <= FEDERATED]
        for name, key in self.keys.items():
            if name == "aws:principalarn":
                # AWS sets it for users and roles only.
                facts.append(z3.Implies(key.present, self.kind == PRINCIPAL))
            if name == "aws:securetransport":
                facts.append(key.present)
        texts = [self.account, self.name, self.resource, *(text for key in self.keys.values() for text in key.texts)]
        facts += [fact for text in dict.fromkeys(texts) for fact in text.facts()]
        if self.resource.is_string and self._root:
            below = [z3.PrefixOf(z3.StringVal(f"{self._root}/"), self.resource.string)] if self._has_parts else []
            facts.append(z3.Or(self.resource.string == z3.StringVal(self._root), *below))
        for key in self.keys.values():
            facts += [z3.Not(z3.Contains(text.string, ":")) for text in key.texts[:-1] if key.is_arn and text.is_string]
        return z3.And(facts)

    def plausible(self) -> z3.BoolRef:
        """Return facts of requests that AWS can receive. The proof does not use them, only its counterexamples."""
        facts = [
            z3.Or(self.kind == PRINCIPAL, self.kind == SERVICE),
            self.account.is_one_of(re.compile(r"[0-9]{12}").fullmatch),
            self.name.is_one_of(lambda text: text.endswith(".amazonaws.com")),
            self.resource.is_one_of(lambda text: text.count(":") > 4),
            self.resource.is_readable(),
        ]
        for name, key in self.keys.items():
            if not key.is_arn:
                facts += [text.is_readable() for text in key.texts]
            if key.is_arn:
                facts += [
                    key.texts[0].is_one_of("arn".__eq__),
                    key.texts[1].is_one_of(lambda text: text.startswith("aws")),
                ]
            if name == "aws:principalarn":
                facts += [key.present == (self.kind == PRINCIPAL), key.texts[2].is_one_of("iam".__eq__)]
                facts += [key.texts[3].is_one_of("".__eq__), key.texts[5].is_one_of(re.compile("role/.+").fullmatch)]
        return z3.And(facts)

    def examples(self) -> Iterator[_Values]:
        """Yield values of the variables, alone and with single resources: of these values, and of another one."""
        variables = [name for name in sorted(self._variables) if not self.key(name).is_arn]
        values = {name: f"own-{number}" for number, name in enumerate(variables, start=1)}
        pairs = [pair for name in variables for pair in self.key(name).texts[0].given(values[name])]
        pairs += [(self.key(name).present, z3.BoolVal(True)) for name in variables]
        yield pairs
        for pattern in sorted(self._patterns) if self.resource.is_string else ():
            own = _VARIABLE.sub(lambda variable: values.get(variable[1].lower(), "other"), pattern)
            for resource in (own, _VARIABLE.sub("other", pattern)):
                yield [*self.resource.given(resource.replace("*", "any-other").replace("?", "x")), *pairs]

    def resource_matches(self, patterns: Iterable[str]) -> z3.BoolRef:
        patterns = list(patterns)
        self._patterns.update(patterns)
        return z3.Or([self.like(self.resource, pattern) for pattern in patterns])

    def describe(self, model: z3.ModelRef) -> dict[str, str]:
        """Return the request that the solver found."""

        def text_of(term: Any) -> str:
            return str(model.eval(z3.substitute(term, *self.assumed), model_completion=True)).strip('"')

        kind = int(text_of(self.kind))
        caller = self.subject.arn if isinstance(self.subject, Role) else None
        values = {"action": self.action, "resource": self.resource.describe(text_of), "caller": caller or _KINDS[kind]}
        if kind == PRINCIPAL and not caller:
            values["account"] = self.account.describe(text_of)
        if kind in (SERVICE, FEDERATED) and not caller:
            values["name"] = self.name.describe(text_of)
        for key in self.keys.values():
            values[key.name] = key.describe(text_of) if text_of(key.present) == "True" else "(absent)"
        return values


def _like(value: Any, pattern: str) -> z3.BoolRef:
    """Return whether a string matches a pattern of `*` and `?`."""
    head = pattern.removesuffix("*")
    if "*" not in head and "?" not in head:
        if pattern == "*":
            return z3.BoolVal(True)
        text = z3.StringVal(head.translate(_READABLE))
        return z3.PrefixOf(text, value) if head != pattern else value == text
    any_char = z3.AllChar(z3.ReSort(z3.StringSort()))
    wildcards = {"*": z3.Star(any_char), "?": any_char}
    pieces = [wildcards.get(character, z3.Re(z3.StringVal(character))) for character in pattern]
    return z3.InRe(value, pieces[0] if len(pieces) == 1 else z3.Concat(*pieces))


# A policy ------------------------------------------------------------------------------------------------------------

_ELEMENTS = {
    *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"),
}


_DECIDE_ALONE = ("key", "role", "endpoint")
"""Resources whose policy must allow each request. For others, policies of the owning account suffice."""


def _decide(request: _Request, statements: Sequence[Statement]) -> z3.BoolRef:
    """Return whether statements allow a request: those of a resource's policy, if the caller's policies allow it."""
    granted = _any(request, statements, "Allow")
    if request.owner:
        granted = z3.Or(granted, _of_account(request, request.owner))
    return z3.And(granted, z3.Not(_any(request, statements, "Deny")))


def _any(request: _Request, statements: Sequence[Statement], effect: str) -> z3.BoolRef:
    return z3.Or([_applies(request, statement) for statement in statements if statement["Effect"] == effect])


def _applies(request: _Request, statement: Statement) -> z3.BoolRef:
    conditions = [_condition(request, operator, keys) for operator, keys in statement.get("Condition", {}).items()]
    if not isinstance(request.subject, Role):
        conditions.append(_principal(request, statement))
    if "NotResource" in statement:
        conditions.append(z3.Not(request.resource_matches(_texts(statement["NotResource"]))))
    elif "Resource" in statement:
        conditions.append(request.resource_matches(_texts(statement["Resource"])))
    return z3.And(conditions)


def _action_patterns(statement: Statement) -> list[str]:
    return _texts(statement["NotAction"] if "NotAction" in statement else statement["Action"])


def _principal(request: _Request, statement: Statement) -> z3.BoolRef:
    if "NotPrincipal" in statement:
        return z3.Not(_is_one_of(request, statement["NotPrincipal"]))
    return _is_one_of(request, statement["Principal"])


def _is_one_of(request: _Request, principals: object) -> z3.BoolRef:
    if principals == "*":
        return z3.BoolVal(True)
    if not isinstance(principals, dict):
        raise Unmodelled(f"principal {principals}")
    return z3.Or([_is(request, kind, value) for kind, values in principals.items() for value in _texts(values)])


def _is(request: _Request, kind: str, value: str) -> z3.BoolRef:
    if kind in ("Service", "Federated"):
        expected = SERVICE if kind == "Service" else FEDERATED
        return z3.And(request.kind == expected, request.name.equals(value))
    if kind != "AWS":
        raise Unmodelled(f"principal of kind {kind}")
    if value == "*":
        return z3.BoolVal(True)
    if value.isdigit():
        return _of_account(request, value)
    parts = value.split(":", 5)
    if len(parts) != 6 or parts[2] != "iam" or "*" in value:
        raise Unmodelled(f"principal {value}: IAM accepts an account, a user or a role, without wildcards")
    if parts[5] == "root":
        return _of_account(request, parts[4])
    return _is_caller(request, value)


def _of_account(request: _Request, account: str) -> z3.BoolRef:
    return z3.And(request.kind == PRINCIPAL, request.account.equals(account))


def _is_caller(request: _Request, arn: str) -> z3.BoolRef:
    key = request.key("aws:PrincipalArn")
    return z3.And(request.kind == PRINCIPAL, key.present, _arn_like(request, key, arn))


def _condition(request: _Request, operator: str, keys: Mapping[str, object]) -> z3.BoolRef:
    return z3.And([_tests(request, operator, request.key(key), _texts(values)) for key, values in keys.items()])


def _tests(request: _Request, operator: str, key: _Key, values: list[str]) -> z3.BoolRef:
    if operator == "Null":
        return z3.And([key.present == z3.BoolVal(value == "false") for value in values])
    if key.values or ":" in operator:
        return _tests_list(operator, key, values)
    base = operator.removesuffix("IfExists")
    negative = "Not" in base
    matched = z3.Or([_value_matches(request, base.replace("Not", ""), key, value) for value in values])
    # A negated operator is true for an absent key. So is every operator with IfExists.
    if negative:
        return z3.Or(z3.Not(key.present), z3.Not(matched))
    return z3.Or(z3.Not(key.present), matched) if base != operator else z3.And(key.present, matched)


def _tests_list(operator: str, key: _Key, values: list[str]) -> z3.BoolRef:
    """Return `ForAnyValue:` or `ForAllValues:` of a multivalued key. An absent key has no values."""
    quantifier, _, base = operator.partition(":")
    if not key.values or base not in ("StringEquals", "StringNotEquals") or any("${" in value for value in values):
        raise Unmodelled(f"{operator} of {key.name} with {values}")
    _count_use(key)
    matched = [z3.Or([actual.equals(value) for value in values]) for actual in key.values]
    tests = [z3.Not(match) for match in matched] if "Not" in base else matched
    match quantifier:
        case "ForAnyValue":
            return z3.And(key.present, z3.Or(tests))
        case "ForAllValues":
            return z3.Or(z3.Not(key.present), z3.And(tests))
    raise Unmodelled(f"{operator} of the multivalued key {key.name}")


def _count_use(key: _Key) -> None:
    key.uses += 1
    if key.values and key.uses > len(key.values):
        raise Unmodelled(f"{key.name} is tested more than {len(key.values)} times")


def _value_matches(request: _Request, operator: str, key: _Key, value: str) -> z3.BoolRef:
    match operator:
        case "StringEquals":
            if "${" in value:
                raise Unmodelled(f"policy variable in {value}")
            return _equals_text(key, value)
        case "StringLike":
            return request.like(key, value)
        case "ArnEquals" | "ArnLike":
            return _arn_like(request, key, value)
        case "Bool":
            return _equals_text(key, value.lower())
    raise Unmodelled(f"condition operator {operator}")


def _arn_like(request: _Request, key: _Key, pattern: str) -> z3.BoolRef:
    patterns = pattern.split(":", 5)
    if not key.is_arn or len(patterns) != 6:
        # It is not documented which ARNs `*` alone matches. No policy needs it.
        raise Unmodelled(f"{key.name} compared as an ARN with {pattern!r}")
    return z3.And([request.like(part, pattern) for part, pattern in zip(key.texts, patterns, strict=True)])


def _equals_text(key: _Key, value: str) -> z3.BoolRef:
    return key.string == z3.StringVal(value) if key.is_arn else key.texts[0].equals(value)


def _texts(value: Any) -> list[str]:
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in as_list(value)]
