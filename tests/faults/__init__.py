"""The fault campaign: requests fail, and each message still arrives at each subscriber once and unchanged.

    make faults            10,000 messages; a fifth of all requests to AWS fail
    python -m tests.faults --seed 7 --messages 500 --rate 0.3

`campaign.py` has the steps. The functions are the deployed ones. `proxy.py` injects faults of requests, and `worker.py`
kills functions. `deployed.py` does the same with deployed stacks in the local world, and fewer messages. The campaign
must detect each of the defects in `broken_handlers`.
"""
