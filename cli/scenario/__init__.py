"""The scenario: payloads sent through accounts with a deployment, and attempts that must be denied.

`coatcheck demo` runs it in emulated accounts, `coatcheck verify` in accounts of AWS.

world.py         the accounts that the caller reaches
run.py           the scenario from its first payload to its result
payloads.py      the files that are sent
routes.py        the entry points: an event, the library, the outbox
deliveries.py    the wait for every payload at every subscriber
arrivals.py      the payloads that subscribers' applications received
refusals.py      attempts that must be denied
function_log.py  log lines of functions
memory.py        the memory that functions used
report.py        tables, and a JSON file
"""
