"""A person's approval: asking for it, and answering."""
