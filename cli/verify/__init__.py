"""`coatcheck verify`: the scenario in the caller's accounts.

command.py    the question, the run, the report
cost.py       what a run costs
clean_up.py   the deletion of what was sent
page.py       the report as a page
"""
