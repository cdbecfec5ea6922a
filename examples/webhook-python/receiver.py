#!/usr/bin/env python3
"""A service to start from whose things Leasehold leases: here passwords in a dictionary.

Put your own accounts, keys or machines in their place, and both dictionaries into a database, since
they must outlive a restart. docs/webhook.md says what a service is called with and must keep to.

    WEBHOOK_SECRET=<the role's secret> examples/webhook-python/receiver.py
"""
import hashlib
import hmac
import json
import os
import secrets
import ssl
import sys
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ.get("WEBHOOK_SECRET", "").encode()
LOCK = threading.Lock()  # guards both dictionaries
ACCOUNTS = {}  # by external name; whatever checks a password should also refuse it after the end
FENCES = {}  # highest fencing index seen, by external name


def genuine(secret: bytes, header: str, body: bytes, now: float) -> bool:
    try:
        parts = dict(part.split("=", 1) for part in header.split(","))
        wanted = hmac.new(secret, parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(wanted.encode(), parts["v1"].encode()) and abs(now - int(parts["t"])) < 300
    except (KeyError, ValueError):
        return False


def act(call):
    """Does what a call asks for, and returns status and answer. Here your own work begins."""
    if call["action"] == "inventory":
        return 200, page(call)
    name, action = call["external_name"], call["action"]
    if call["fencing_index"] < FENCES.get(name, 0):
        return 409, {}  # of a node that leads no more, or an issue behind its own revoke
    FENCES[name] = call["fencing_index"]
    if action == "issue":  # once more if its answer was lost: the same thing, with a new password
        account = ACCOUNTS.setdefault(name, {"created": datetime.now(timezone.utc).isoformat()})
        account.update(password=secrets.token_urlsafe(), end=call["expire_time"])
        return 200, {"data": {"login": name, "password": account["password"]}}
    if name not in ACCOUNTS:
        return 404, {}  # gone already, or never made
    if action == "renew":
        ACCOUNTS[name]["end"] = call["expire_time"]
    elif action == "revoke":
        del ACCOUNTS[name]
    else:
        return 400, {}
    return 200, {}


def page(call):
    """One page of what there is, in the order of the names."""
    names = sorted(n for n in ACCOUNTS if n.startswith(call["mark"] + "-") and n > call["after"])
    shown = [(name, ACCOUNTS[name]) for name in names[: call["limit"]]]
    items = [{"external_name": name, "created": a["created"], "end": a["end"]} for name, a in shown]
    return {"items": items, "more": len(names) > len(items)}


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds without a byte
    wbufsize = -1  # an answer leaves as a whole

    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 1 << 20))
        status, answer = 401, {"error": "the signature is wrong or old"}
        if genuine(SECRET, self.headers.get("X-Leasehold-Signature") or "", body, time.time()):
            with LOCK:
                status, answer = act(json.loads(body))
        text = json.dumps(answer).encode()
        self.send_response(status)
        if status == 401:  # some of the body may be left unread
            self.send_header("Connection", "close")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    if len(SECRET) < 16:
        sys.exit("WEBHOOK_SECRET is shorter than 16 bytes: set it to the secret of the role")
    host, port = os.environ.get("WEBHOOK_LISTEN", "127.0.0.1:8700").rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), Receiver)
    if "WEBHOOK_CERT" in os.environ:  # plain http is called on loopback alone
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.environ["WEBHOOK_CERT"], os.environ.get("WEBHOOK_KEY"))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("listening on %s:%d" % server.server_address[:2], file=sys.stderr)
    server.serve_forever()
