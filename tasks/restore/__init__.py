"""From a backup back into Close, each object at most once."""
