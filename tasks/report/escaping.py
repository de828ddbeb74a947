"""Text for people in markdown, with customers' data escaped. Pure."""

import html
import re
from collections.abc import Iterable, Sequence

from tasks.plan.model import Counts, Plan

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, among them those that change the reading direction and so disguise a text."""
NOT_IN_XML: dict[int, None] = dict.fromkeys((0xFFFE, 0xFFFF))
ADDRESS = re.compile(r"(https://|http://127\.0\.0\.1:)[\w.:/?=&%#~-]+")
"""Addresses that become links."""


def kept_by(counts: Counts) -> str:
    """How many leads each rule protects, as a list in markdown; empty if none does."""
    return "\n".join(f"- kept by {words(rule)}: {number:,}" for rule, number in counts.kept.items() if rule != "total")


def words(rule: str) -> str:
    """The name of a keep rule as words."""
    return rule.replace("_", " ")


def sample_of(plan: Plan) -> str:
    """The sample as a table, in which its name leads to each lead in Close."""
    rows = (
        (link(lead.name or lead.id, lead.url), escape(lead.status), escape(lead.last_communication))
        for lead in plan.sample
    )
    return table(("Lead", "Status", "Last communication"), rows)


def link(text: str, address: str) -> str:
    """*text*, escaped, as a link to *address*; without one if that is no address of the web."""
    return f"[{escape(text)}]({address})" if ADDRESS.fullmatch(address) else escape(text)


def escape(text: str) -> str:
    """Customer text on one line, with nothing that markdown, HTML or a spreadsheet would interpret."""
    line = html.escape(" ".join(CONTROLS.sub(" ", _unicode(text)).split()), quote=False)
    line = re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", line)
    return f"'{line}" if line[:1] in {"=", "-", "@"} or line[:2] == "\\+" else line


def for_xml(text: str) -> str:
    """Text for an element or an attribute of XML, without the characters that no XML may have."""
    return html.escape(CONTROLS.sub(" ", _unicode(text)).translate(NOT_IN_XML))


def _unicode(text: str) -> str:
    """*text* with a question mark for what can't be written as UTF-8."""
    return text.encode(errors="replace").decode()


def unescape(line: str) -> str:
    """The text that `escape` has turned into *line*, except for its spaces."""
    return html.unescape(re.sub(r"\\(.)", r"\1", line))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of *rows*, which are markdown already; empty if there are none."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *lines]) if lines else ""
