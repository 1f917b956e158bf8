"""Publishes an event: python3 publish.py http://localhost:3000"""

import json
import sys
import urllib.request

event = {"topic": "orders/42", "event": "paid", "data": {"total": 99}, "id": "payment-1"}
request = urllib.request.Request(
    f"{sys.argv[1]}/publish",
    data=json.dumps(event).encode(),
    headers={"content-type": "application/json"},
)
with urllib.request.urlopen(request) as response:
    print(json.load(response)["id"])
