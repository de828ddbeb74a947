"""A made-up organisation."""
