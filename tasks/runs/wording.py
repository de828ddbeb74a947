"""Words for messages to people, and from them. Pure."""

import json

MINUTE = "%Y-%m-%d %H:%M UTC"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """*number* with its noun: ``1 lead``, ``1,234 leads``. *plural* is for nouns that don't just add an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def with_full_stop(text: str) -> str:
    """*text* with the full stop that ends it, unless it ends in one or in a question mark."""
    return text if text.endswith((".", "?")) else f"{text}."


def shortened(text: str, most: int) -> str:
    """*text*, which a person typed, as it can be kept in a Prefect Variable: cut with … to *most* bytes of JSON.

    What isn't Unicode, as from a terminal with another encoding, becomes a question mark.
    """
    text = text.encode(errors="replace").decode()
    while len(json.dumps(text, ensure_ascii=False).encode()) > most:
        text = text[: -2 - len(text) // 20].rstrip() + "…"
    return text
