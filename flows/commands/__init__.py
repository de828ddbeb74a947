"""The commands of ``lead-cleanup``, one module each, and what they share."""
