"""Words for what a run says to people. Pure."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """*number* with its noun: ``1 lead``, ``1,234 leads``. Give *plural* where it isn't the *noun* with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
