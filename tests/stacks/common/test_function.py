"""Lambda functions: timeout, memory, logs and tracing."""

from tests.stacks.policies import Template, named_functions, only


def test_functions_have_timeout_memory_and_logs(templates: dict[str, Template]) -> None:
    for stack, timeout in (("coatcheck-publisher", 900), ("coatcheck-orders", 300), ("coatcheck-billing", 300)):
        template = templates[stack]
        function = next(
            each for each in named_functions(template) if each["FunctionName"].endswith(("-consume", "-publish"))
        )
        assert (function["Timeout"], function["MemorySize"]) == (timeout, 1024)
        assert function["LoggingConfig"]["LogGroup"]


def test_functions_and_state_machines_are_traced(templates: dict[str, Template]) -> None:
    functions = [function for template in templates.values() for function in named_functions(template)]
    assert functions
    assert all(function["TracingConfig"] == {"Mode": "Active"} for function in functions)
    machine = only(templates["coatcheck-orders"], "AWS::StepFunctions::StateMachine")
    assert machine["Properties"]["TracingConfiguration"] == {"Enabled": True}
