"""A webhook that says what it was told: ``{"path": ..., "message": ...}``, one object a line on stdout."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Receiver(BaseHTTPRequestHandler):
    """Takes every POST."""

    def do_POST(self) -> None:
        """Write it down."""
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        sys.stdout.write(json.dumps({"path": self.path, "message": message}) + "\n")
        sys.stdout.flush()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """No access log between the messages."""


HTTPServer(("", 9095), Receiver).serve_forever()
