"""Who is at the machine, for the record; nobody checks it."""

import getpass
import os


def user() -> str:
    """The login name; ``uid 1234`` for a user who has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # KeyError before Python 3.13
        return f"uid {os.getuid()}"
