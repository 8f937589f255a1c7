"""`make demo`: deploys the system into emulated accounts, sends payloads through its public doors, and tries what must
be refused.

    payload.py     what is sent
    route.py       the doors: an event, the library, the outbox
    delivery.py    what was sent, followed until it has arrived everywhere
    arrival.py     what the applications behind the subscribers were handed
    refusal.py     what must not work
    report.py      the tables, and build/demo/report.json
    __main__.py    all of it, in order
"""
