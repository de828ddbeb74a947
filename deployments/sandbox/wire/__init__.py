"""The wire format: JSON bodies, errors, dates and ids as Close writes them."""
