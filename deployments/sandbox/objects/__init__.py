"""Leads and what belongs to them: how they are written, serialized, deleted, and recorded in events."""
