"""Words for messages to people. Pure."""

MINUTE = "%Y-%m-%d %H:%M UTC"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """*number* with its noun: ``1 lead``, ``1,234 leads``. *plural* is for nouns that don't just add an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
