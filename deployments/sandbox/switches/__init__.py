"""What tests can change while the sandbox runs: undocumented behaviour, faults, rate limits, bulk deletes."""
