"""What people type: `python -m cli`."""
