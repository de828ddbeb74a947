"""Our own reading of a lead, where Close's tokenizer may promise less than the criteria do.

``name_words`` means whole words and ``email_domains`` means whole domains. How Close cuts text into words isn't
documented, so every planned lead is read and checked here. One disagreement stops the run.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, cast

from tasks.criteria.policy import Keep, Match
from tasks.runs.outcomes import Refused

Lead = Mapping[str, Any]
"""A lead object as Close answers with, or the part of it that was asked for."""

FIELDS = ("id", "name", "display_name", "contacts")
EXAMPLES = 5


def needed(match: Match, keep: Keep) -> bool:
    """Whether the criteria use anything that has to be read again."""
    return bool(match.name_words or match.email_domains or keep.email_domains)


def check_leads(leads: Sequence[Lead], match: Match, keep: Keep) -> None:
    """Raise `Refused`, with ids and never names, if one of *leads* isn't what it was planned for, or can't be read."""
    if match.email_domains or keep.email_domains:
        _refuse([lead for lead in leads if not isinstance(lead.get("contacts"), list)], "came without their contacts")
    if match.name_words:
        wrong = [lead for lead in leads if not has_word(lead, match.name_words)]
        _refuse(wrong, "have none of the words of match.name_words in their name")
    if match.email_domains:
        wrong = [lead for lead in leads if not has_domain(lead, match.email_domains)]
        _refuse(wrong, "have no e-mail address at match.email_domains")
    if keep.email_domains:
        wrong = [lead for lead in leads if has_domain(lead, keep.email_domains)]
        _refuse(wrong, "have an e-mail address at keep.email_domains")


def _refuse(leads: Sequence[Lead], problem: str) -> None:
    if leads:
        examples = ", ".join(str(lead["id"]) for lead in leads[:EXAMPLES])
        raise Refused(
            f"{len(leads)} of the leads that Close would delete {problem}, as we read it: {examples}. "
            "Look at them, and put the ones to spare into keep.lead_ids."
        )


def has_word(lead: Lead, words: Sequence[str]) -> bool:
    """Whether one of *words* (lower case) is a whole word of the lead's name."""
    name = lead["name"] if "name" in lead else lead.get("display_name")
    composed = unicodedata.normalize("NFC", str(name or ""))  # or an accent of its own would end a word
    return not set(words).isdisjoint(re.findall(r"\w+", composed.lower()))


def has_domain(lead: Lead, domains: Sequence[str]) -> bool:
    """Whether a contact has an e-mail address at one of *domains* (lower case) itself, not below it."""
    return not set(domains).isdisjoint(_domains(lead))


def _domains(lead: Lead) -> set[str]:
    contacts = cast("list[Lead]", lead.get("contacts") or [])
    emails = [email for contact in contacts for email in cast("list[Lead]", contact.get("emails") or [])]
    return {str(email.get("email", "")).rpartition("@")[2].strip().lower() for email in emails}
