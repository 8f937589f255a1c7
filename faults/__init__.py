"""The fault campaign: what is sent arrives at every subscriber, once and whole, whatever fails on the way.

    make faults            10,000 messages, a fifth of all requests to AWS fail
    python -m faults --seed 7 --messages 500 --rate 0.3

Two places where things go wrong, and nothing in the functions knows of either:

fault.py         the faults of a request to AWS: what each looks like on the wire, and the dice that choose them
proxy.py         injects them: a process between functions and the emulator, over TLS on both sides
worker.py        a function's process: its real handler; it is killed, by itself and for good, at the call it is told

What is sent, and what carries it:

message.py       a message of the campaign: its route, its size, and its bytes, from a seed
application.py   an application that publishes with the library; runs in a worker like the functions
site.py          topic, queues, buckets, state machine, table and cluster of one publisher and two subscribers
functions.py     the functions in their workers; what Lambda does around them
deliveries.py    what EventBridge, SQS and SNS do: deliver at least once, doubled, in any order

What comes out:

lot.py           a number of messages under the same faults, and the ways of spoiling a payload
campaign.py      all lots, one after another: send, deliver, end the faults, redrive, deliver
arrivals.py      what the applications behind the subscribers were handed
verdict.py       what has to hold, and what did
report.py        the table, and build/faults.json
deployed.py      the same in the local world: deployed stacks, functions run by the emulator, fewer messages
"""
