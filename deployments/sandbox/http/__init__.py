"""How requests reach the API: keys, limits and bodies, the journal, and injected faults."""
