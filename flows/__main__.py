"""``python -m flows`` is ``lead-cleanup``."""

from flows.cli import main

main()
