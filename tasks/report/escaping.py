"""Text for people in markdown, with customers' data escaped. Pure."""

import html
import re
from collections.abc import Iterable

from tasks.plan.model import Counts, Plan

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, among them those that change the reading direction and so disguise a text."""


def kept_by(counts: Counts) -> str:
    """How many leads each rule protects, as a list in markdown; empty if none does."""
    return "\n".join(f"- kept by {words(rule)}: {number:,}" for rule, number in counts.kept.items() if rule != "total")


def words(rule: str) -> str:
    """The name of a keep rule as words."""
    return rule.replace("_", " ")


def sample_rows(plan: Plan) -> list[dict[str, str]]:
    """The sample as rows of a table, safe to show and to paste into a spreadsheet."""
    return [
        {
            "name": escape(lead.name),
            "status": escape(lead.status),
            "last communication": lead.last_communication,
            "lead": lead.id,
            "url": lead.url if lead.url.startswith(("https://", "http://127.0.0.1:")) else "",
        }
        for lead in plan.sample
    ]


def escape(text: str) -> str:
    """Customer text on one line, with nothing that markdown, HTML or a spreadsheet would interpret."""
    line = html.escape(" ".join(CONTROLS.sub(" ", text).split()), quote=False)
    line = re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", line)
    return f"'{line}" if line[:1] in {"=", "-", "@"} or line[:2] == "\\+" else line


def unescape(line: str) -> str:
    """The text that `escape` has turned into *line*, except for its spaces."""
    return html.unescape(re.sub(r"\\(.)", r"\1", line))


def table(rows: Iterable[tuple[str, str]]) -> str:
    """A table of *rows*, each a name and its value."""
    return "\n".join(["| | |", "|---|---|", *(f"| {escape(name)} | {escape(value)} |" for name, value in rows)])
