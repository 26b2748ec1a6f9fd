#!/usr/bin/env python3
"""What a user would write instead of `replay`: compiled regular expressions, JSON out."""
import json, re, sys
PREFIX = re.compile(r"^\[([\d-]+ [\d:,]+)\]\[([^]]+)\]\[([A-Z]+)\] - (.*)$|^([A-Z]+):([\w.]+):(.*)$")
EVENTS = [(n, re.compile(r)) for n, r in (
    ("round_joined", r"Joining round: (\d+)"), ("round_started", r"^Starting round: (\d+)/"),
    ("round_waiting", r"^Already finished round: (\d+)\. Next check in ([\d.]+)s"),
    ("bootnodes", r"initial[_ ]peers.*\[(.*)\]"), ("identity", r"Hello .*\[(Qm\w+)\]"),
    ("error", r"^([\w.]+(?:Error|Exception)): (.*)$|Failed to submit to chain|Exception occurred"))]
for line in open(sys.argv[1], errors="replace"):
    p = PREFIX.match(line)
    text = (p.group(4) or p.group(7) or "") if p else line.rstrip("\n")
    for name, rx in EVENTS:
        m = rx.search(text)
        if m:
            break
    else:
        name, m = "log", None
    print(json.dumps({"event": name, "message": text, "fields": m.groups() if m else ()}))
