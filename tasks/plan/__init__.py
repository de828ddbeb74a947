"""What a run would delete: the organisation, the numbers, the checks that stop it."""
