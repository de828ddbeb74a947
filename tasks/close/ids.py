"""What the ids of Close look like; apart from `tasks.close.resources`, whose import builds many models."""

from typing import Annotated

from pydantic import Field

LEAD_ID = r"^lead_\w+$"
LeadId = Annotated[str, Field(pattern=LEAD_ID)]
