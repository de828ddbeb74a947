"""``make up``: all that a cleanup needs, on this machine, until Ctrl-C."""
