"""The monthly budget."""

from stacks.deployment import ResearchDeployment
from tests.stacks.policies import resources
from tests.stacks.research.environments import with_changes
from tests.templates import synthesize


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
