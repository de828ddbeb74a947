"""What tests can change while the sandbox runs: answers to open questions, faults, rate limits, bulk deletes."""
