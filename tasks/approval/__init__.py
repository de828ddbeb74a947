"""A person's approval: requesting it, and answering."""
