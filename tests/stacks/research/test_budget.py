"""The monthly budget."""

from stacks.deployment import ResearchDeployment
from tests.stacks.policies import Template, only, resources
from tests.stacks.research.environments import research_template, with_changes
from tests.templates import synthesize


def test_budget_notifies_at_80_and_100_per_cent(template: Template) -> None:
    budget = only(template, "AWS::Budgets::Budget")["Properties"]
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 500, "Unit": "USD"}
    assert budget["Budget"]["TimeUnit"] == "MONTHLY"
    entries = budget["NotificationsWithSubscribers"]
    assert [(e["Notification"]["NotificationType"], e["Notification"]["Threshold"]) for e in entries] == [
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]
    addresses = {subscriber["Address"] for entry in entries for subscriber in entry["Subscribers"]}
    assert addresses == {"research-it@example.com"}


def test_budget_moves_to_us_east_1_if_its_region_has_none(example: ResearchDeployment) -> None:
    users = [{"name": "ada", "principal_id": example.research.users[0].principal_id}]
    changes = {"region": "eu-north-1", "users": users, "groups": []}
    budgets = {
        stack.name: (stack.region, resources(stack.template, "AWS::Budgets::Budget"))
        for stack in synthesize(with_changes(example, changes))
    }
    region, (budget,) = budgets["coatcheck-research-budget"][0], budgets["coatcheck-research-budget"][1].values()
    assert region == "us-east-1"
    assert budget["Properties"]["Budget"]["CostFilters"] == {"Service": ["Amazon SageMaker"]}
    assert budgets["coatcheck-research"] == ("eu-north-1", {})


def test_budget_can_count_the_whole_account(example: ResearchDeployment) -> None:
    budget = {"monthly_usd": 500, "emails": ["research-it@example.com"], "whole_account": True}
    template = research_template(with_changes(example, {"budget": budget}))
    assert "CostFilters" not in only(template, "AWS::Budgets::Budget")["Properties"]["Budget"]
