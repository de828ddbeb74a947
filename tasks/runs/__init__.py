"""What every run has, whatever it does: its identity, its clients, how it can end, the stop, its logs."""
