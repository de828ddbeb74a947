"""How each step of a cleanup happens: thin Prefect tasks around plain functions."""
