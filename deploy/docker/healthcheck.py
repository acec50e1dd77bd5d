"""Exit 0 if what runs in this container answers 200 on ``/healthy``. What it says goes where Docker keeps it."""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

connection = HTTPConnection("127.0.0.1", int(os.environ.get("LANJIE_METRICS_PORT", "9464")), timeout=2)
try:
    connection.request("GET", "/healthy")
    answer = connection.getresponse()
except (OSError, HTTPException) as error:
    sys.exit(f"/healthy: {type(error).__name__}: {error}")
sys.stdout.write(answer.read().decode())
sys.exit(answer.status != 200)
