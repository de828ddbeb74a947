"""A copy of the planned leads: exported, stored, verified, pruned, forgotten."""
