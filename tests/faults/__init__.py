"""The fault campaign: what is sent arrives at every subscriber, once and whole, whatever fails on the way.

    make faults            10,000 messages, a fifth of all requests to AWS fail
    python -m tests.faults --seed 7 --messages 500 --rate 0.3

Two places where things go wrong, and nothing in the functions knows of either:

fault.py         the faults of a request to AWS: what each looks like on the wire, and the dice that choose them
proxy.py         injects them: a process between functions and the emulator, over TLS on both sides
workers.py       the processes of all functions, forked from one
worker.py        a function's process: its real handler; it is killed, by itself and for good, at the call it is told

What is sent, and what carries it:

message.py       a message of the campaign: its route, its size, and its bytes, from a seed
identity.py      its id, where it is on its way
application.py   an application that publishes with the library; runs in a worker like the functions
endpoint.py      the web server of a subscriber over HTTPS; it does, too
notary.py        SNS's signature under what is posted to it
site.py          topics, queues, buckets, replica, state machines, table and cluster of a publisher and its subscribers
functions.py     the functions in their workers
invocations.py   invokes them for a message: once, twice at the same time, until they answer, or to be killed
senders.py       who sends: applications, EventBridge, who uploads
deliveries.py    what SQS, SNS and Step Functions do: deliver at least once, doubled, in any order but a group's
dead_letters.py  what failed for good, and is sent back
spoiling.py      what becomes of stored payloads and of their replicas

What comes out:

lot.py           a number of messages under the same faults
campaign.py      all lots, one after another: send, spoil, deliver, end the faults, redrive, deliver
arrivals.py      what the applications behind the subscribers were handed: executions.py, landings.py, tasks.py, and
                 receipts.py for the web server
verdict.py       what has to hold, and what did
report.py        the tables, and build/faults.json
deployed.py      the same in the local world: deployed stacks, functions run by the emulator, fewer messages
"""
