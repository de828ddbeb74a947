"""What the commands share: the terminal, flags and parameters, running a flow, showing a report."""
