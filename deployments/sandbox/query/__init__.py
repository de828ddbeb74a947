"""Advanced Filtering, compiled to SQL."""
