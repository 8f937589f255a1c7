"""The fault campaign: requests fail, and each message still arrives at each subscriber once and unchanged.

    make faults            10,000 messages; a fifth of all requests to AWS fail
    python -m tests.faults --seed 7 --messages 500 --rate 0.3

The functions are the deployed ones. Faults come from two places:

faults.py         the faults of a request to AWS, and their random choice
proxy.py          a process between the functions and the emulator, which injects the faults
functions.py      the functions, each in a few processes
worker.py         a function's process, which can be killed at a given request

Messages and their path:

message.py        a message: its route, size and payload, and its id at each step
application.py    an application that publishes with the library
endpoint.py       the web server of a subscriber over HTTPS
environment.py    topics, queues, buckets, a replica, state machines, a cluster and a table in the emulator
invocations.py    invocations of functions: once, twice at the same time, until they return, or killed
senders.py        senders: applications, EventBridge, uploads
deliveries.py     SQS, SNS and Step Functions: at least once, with duplicates, in any order except in a group
dead_letters.py   dead letters and their redrive
storage_faults.py faults of stored payloads and replicas

Results:

run.py            a number of messages under the same faults
campaign.py       all runs: send, inject storage faults, deliver, end the faults, redrive
arrivals.py       messages that reached the applications
verdict.py        the invariants and their violations
report.py         the tables, and build/faults.json
deployed.py       the same with deployed stacks in the local world, and fewer messages
broken_handlers/  functions with one defect each, which the campaign must detect
"""
