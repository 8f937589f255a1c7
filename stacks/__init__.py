"""Everything that `cdk deploy` deploys. app.py makes the stacks."""
