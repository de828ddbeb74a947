"""Which spellings mean the same: of names that an organisation has chosen, and of domains."""

import re
import unicodedata

import idna

from tasks.close.problems import quoted


def one_form(name: str) -> str:
    """Return *name* as it is compared: without blanks around it, an accent as a part of its letter."""
    return unicodedata.normalize("NFC", name).strip()


def domain_of(text: str) -> str:
    """Return the domain *text* as it is compared, in lower case: ``müller.de``, also for ``xn--mller-kva.de``.

    Raises ValueError if it is no whole domain.
    """
    domain = as_people_write_it(text.strip().removeprefix("@"))
    if re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", as_mail_sends_it(domain)) is None:
        raise ValueError(f"{quoted(text)} is not a whole domain such as example.com")
    return domain


def as_people_write_it(domain: str) -> str:
    """*domain* in lower case, with letters of every alphabet; as it is where it can't be one."""
    lower = one_form(domain).lower()
    try:
        return lower if lower.isascii() and "xn--" not in lower else idna.decode(lower, uts46=True)
    except (idna.IDNAError, UnicodeError):
        return lower


def as_mail_sends_it(domain: str) -> str:
    """*domain* in ASCII: ``xn--mller-kva.de`` for ``müller.de``; as it is where it has no such form."""
    try:
        return domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return domain
