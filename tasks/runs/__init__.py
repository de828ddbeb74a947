"""What every run has: its identity, its clients, how it can end, the stop, its logs."""
