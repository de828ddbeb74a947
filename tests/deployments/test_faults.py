"""Processes that die, and a server that restarts, at whichever step: the same rows as tests/faults/MATRIX.md holds.

A step is held up by the sandbox, which takes long to answer; what happens then, happens to real processes. Where nobody
knows whether anything was started, only a person lets the run start again.
"""
