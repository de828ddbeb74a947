"""Close on your machine: the part of the Close API a lead cleanup uses, in front of SQLite."""
