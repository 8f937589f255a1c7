"""`coatcheck verify`: the scenario in the caller's accounts.

command.py    the question, the run, the report
cost.py       the costs of a run
clean_up.py   the deletion of the run's payloads
page.py       the report as a page
"""
