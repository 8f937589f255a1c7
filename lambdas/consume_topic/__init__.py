"""Is subscribed to the topic, dereferences each message and runs an ECS task with it.

handler.py     environment -> arguments
task.py        a handover -> a task
handed_on.py   what was handed on already
"""
