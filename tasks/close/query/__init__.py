"""Close's query language: its clauses and conditions, queries made from queries, and what may be sent."""
