"""From HTTP requests to API handlers: keys, rate limits, bodies, the journal, injected faults."""
