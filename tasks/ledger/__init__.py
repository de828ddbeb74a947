"""Which run claimed and started which bulk delete."""
