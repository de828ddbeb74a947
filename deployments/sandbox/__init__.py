"""A stand-in for the part of the Close API that a lead cleanup uses, backed by SQLite."""
