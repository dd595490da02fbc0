"""Structured logs: one JSON object a line on standard error, without images or secrets."""

import datetime
import json
import sys
from typing import Any


def log(event: str, **facts: Any) -> None:
    """A line of what happened; `facts` are values of JSON."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    print(json.dumps({"time": now, "event": event, **facts}), file=sys.stderr, flush=True)
