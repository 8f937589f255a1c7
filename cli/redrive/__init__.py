"""`python -m cli redrive`: dead letters go back where they came from, once their cause is mended.

command.py       what people see: the table, the question, the result
source.py        which queue or state machine of a deployment, in whose account, and where its letters go
letter.py        what can be in such a queue: why it is there, and what to send
hopeless.py      reasons for which sending back is no use, and what is
destination.py   a queue, a function or a state machine, that takes what is sent
pile.py          the queue's letters: received and held, then sent and deleted one after the other, or let go
executions.py    the same of a state machine's executions that ended badly
"""
