"""A mail server for tests that is looked over the shoulder: at each step of the dialogue it may be interrupted."""

from __future__ import annotations

import contextlib
import email
import email.policy
import socket
import threading
from collections.abc import Callable
from email.message import EmailMessage
from typing import Literal

Step = Literal["connected", "EHLO", "MAIL", "RCPT", "DATA", "content", "accepted", "QUIT"]
STEPS: tuple[Step, ...] = ("connected", "EHLO", "MAIL", "RCPT", "DATA", "content", "accepted")
ANSWERS = {"EHLO": "250 post.example.org", "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go on", "QUIT": "221 bye"}


class PostOffice:
    """Takes mail on a port of 127.0.0.1. `at` is called at each step, before it is answered; "accepted" after."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers = dict(ANSWERS)
        self.at: Callable[[Step], None] = lambda _: None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def about(self, text: str) -> list[EmailMessage]:
        """The mails whose subject holds `text`."""
        return [one for one in self.mails if text in str(one["Subject"])]

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(caller,), daemon=True).start()

    def _talk(self, caller: socket.socket) -> None:
        with contextlib.suppress(OSError), caller, caller.makefile("rwb") as file:

            def say(text: str) -> None:
                file.write(text.encode() + b"\r\n")
                file.flush()

            self.at("connected")
            say("220 post.example.org ESMTP")
            recipient = ""
            for line in file:
                word = line.split()[0].decode().upper() if line.split() else ""
                if word == "RCPT":
                    recipient = line.decode().partition("<")[2].partition(">")[0]
                if word in ANSWERS:
                    self.at(word)  # type: ignore[arg-type]
                    say(self.answers[word])
                else:
                    say("250 ok")
                if word == "DATA" and self.answers[word].startswith("354"):
                    content = b""
                    while not content.endswith(b"\r\n.\r\n"):
                        piece = file.readline()
                        if not piece:
                            return
                        content += piece
                    self.at("content")
                    say("250 2.0.0 Ok: queued")
                    mail = email.message_from_bytes(content[:-5], policy=email.policy.default)
                    assert isinstance(mail, EmailMessage)
                    self.mails.append(mail)
                    self.recipients.append(recipient)
                    self.at("accepted")
                if word == "QUIT":
                    return
