"""The stacks of the publisher's account."""
