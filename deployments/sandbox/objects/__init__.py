"""Leads and what belongs to them: read, written and deleted, with the events that record it."""
