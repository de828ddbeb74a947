"""``lead-cleanup doctor``: what a Close organisation accepts of the queries that cleanups send."""

import json
from dataclasses import asdict
from typing import Annotated

from flows.console.arguments import switch
from flows.console.settings import settings_with_key, turn_off_analytics
from flows.console.terminal import coloured, printable, put
from tasks.doctor import Finding, Mark, examine, is_busy, works

COLOUR = {Mark.GOOD: "green", Mark.BAD: "red", Mark.LOOK: "yellow"}


def doctor(
    *,
    as_json: Annotated[bool, switch("Print the findings as one JSON object.", name="--json")] = False,
) -> int:
    """Print one line for each finding; return 0 if a cleanup with the default rules would work."""
    turn_off_analytics()
    findings: list[Finding] = []
    for finding in examine(settings_with_key()):
        findings.append(finding)
        if not as_json:
            mark = coloured(finding.mark, COLOUR.get(finding.mark, ""))
            put(f"{mark} {printable(f'{finding.about}: {finding.text}')}")
    well = works(findings)
    if as_json:
        put(json.dumps({"works": well, "findings": [asdict(finding) for finding in findings]}))
    else:
        works_when = "once that bulk delete is over" if is_busy(findings) else "here"
        put(f"\n{f'Cleanups with the default rules work {works_when}.' if well else 'Fix the lines marked ✗ first.'}")
    return 0 if well else 1
