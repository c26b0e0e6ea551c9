"""Say as JSON how often a host tried to reach anything but the depot since it was told to forget.

    attempts.py FILE            what was tried
    attempts.py FILE forget     count from now on

It runs in the host's network. FILE keeps what there was when it was told to forget.

`elsewhere` counts packets that left for somewhere else, by watch.nft. What has no route never becomes a
packet; `nowhere` counts those tries, by the kernel's OutNoRoutes of IPv4 and IPv6 (see SNMP counters in
the kernel's documentation of networking).
"""

import json
import subprocess
import sys
from pathlib import Path

FORGOTTEN = Path(sys.argv[1])


def count():
    asked = ["nft", "--json", "list", "counter", "inet", "watch", "elsewhere"]
    listed = json.loads(subprocess.check_output(asked))
    elsewhere = next(item["counter"]["packets"] for item in listed["nftables"] if "counter" in item)
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines()[:2])
    nowhere = int(values[names.index("OutNoRoutes")])
    for line in Path("/proc/net/snmp6").read_text().splitlines():
        name, value = line.split()
        if name == "Ip6OutNoRoutes":
            nowhere += int(value)
    return {"elsewhere": elsewhere, "nowhere": nowhere}


now = count()
if sys.argv[2:] == ["forget"]:
    FORGOTTEN.write_text(json.dumps(now))
before = json.loads(FORGOTTEN.read_text()) if FORGOTTEN.exists() else {}
print(json.dumps({name: value - before.get(name, 0) for name, value in now.items()}))
