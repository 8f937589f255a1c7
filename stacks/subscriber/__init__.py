"""Subscribers' stacks, one for each kind, and the constructs of which they are composed."""
