"""The scenario of `coatcheck demo`: payloads sent through emulated accounts, and attempts that must be denied.

payloads.py      the files that are sent
routes.py        the entry points: an event, the library, the outbox
deliveries.py    the wait for every payload at every subscriber
arrivals.py      the payloads that subscribers' applications received
refusals.py      attempts that must be denied
memory.py        the memory that functions used
report.py        tables, and a JSON file
"""
