"""A mail server that keeps what it is sent, each mail as a file of JSON.

Usage: mailbox.py PORT FOLDER [CERTIFICATE KEY PASSWORD]. With a certificate it takes mail only after STARTTLS and a login with that
password.
"""

import email
import email.policy
import json
import os
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
SECURE = sys.argv[3:]


class Keeper:
    """Writes mails down, 0.json first."""

    count = 0

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        kept = {
            "to": envelope.rcpt_tos,
            "from": envelope.mail_from,
            "tls": session.ssl is not None,
            "fields": {name.lower(): str(value) for name, value in mail.items()},
            "text": mail.get_body(("plain",)).get_content(),
            "html": mail.get_body(("html",)).get_content(),
        }
        name = os.path.join(FOLDER, f"{self.count}.json")
        self.count += 1
        with open(name + ".part", "w", encoding="utf-8") as file:
            json.dump(kept, file)
        os.rename(name + ".part", name)
        return "250 kept"


def judge(server, session, envelope, mechanism, data):
    """Lets in whoever has the password."""
    return AuthResult(success=data.password.decode() == SECURE[2])


more = {}
if SECURE:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SECURE[0], SECURE[1])
    more = {"tls_context": tls, "require_starttls": True, "auth_required": True, "authenticator": judge}
Controller(Keeper(), hostname="127.0.0.1", port=PORT, **more).start()
threading.Event().wait()
