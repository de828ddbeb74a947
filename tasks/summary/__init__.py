"""Runs of all cleanups at a glance, from Prefect alone: the overview of the latest ones, the digest of a week."""
