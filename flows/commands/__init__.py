"""The commands of ``lead-cleanup``, one module each."""
