"""A backend without any login: notes in memory. It believes the headers that the gateway sets."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NOTES = {}


class Notes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value, indent=2).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        identity = {name: value for name, value in self.headers.items() if name.lower().startswith("x-auth-")}
        if self.path == "/":
            self.answer(200, {"hello": self.headers.get("X-Auth-User", "stranger"), "identity": identity})
        elif self.path == "/notes":
            self.answer(200, NOTES)
        elif self.path.removeprefix("/notes/") in NOTES:
            self.answer(200, NOTES[self.path.removeprefix("/notes/")])
        else:
            self.answer(404, {"error": "no such note"})

    def do_PUT(self):
        length = int(self.headers.get("Content-Length", 0))
        text = self.rfile.read(length).decode(errors="replace")
        note = {"text": text, "by": self.headers.get("X-Auth-User")}
        NOTES[self.path.removeprefix("/notes/")] = note
        self.answer(200, note)

    def do_DELETE(self):
        self.answer(200, NOTES.pop(self.path.removeprefix("/notes/"), {}))


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 9000), Notes).serve_forever()
