"""What a run says in the end, and where it is kept."""
