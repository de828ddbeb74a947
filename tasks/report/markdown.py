"""Text for people in markdown: escaped, so that customers' data does nothing there. Pure."""

import html
import re
from collections.abc import Iterable

from tasks.plan.model import Counts, Plan

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, among them those that turn the reading direction, so that a text looks like another one."""


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
    """Customer text that does nothing in markdown, HTML or a spreadsheet, and stays on one line, read in its order."""
    line = html.escape(" ".join(CONTROLS.sub(" ", text).split()), quote=False)
    line = re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", line)
    return f"'{line}" if line[:1] in {"=", "-", "@"} or line[:2] == "\\+" else line


def unescape(line: str) -> str:
    """What `escape` has made *line* of, but for its spaces."""
    return html.unescape(re.sub(r"\\(.)", r"\1", line))


def table(rows: Iterable[tuple[str, str]]) -> str:
    """*rows*, each a name and its value, as a table."""
    return "\n".join(["| | |", "|---|---|", *(f"| {escape(name)} | {escape(value)} |" for name, value in rows)])
