"""The report of a run, and the artifacts it is published as."""
