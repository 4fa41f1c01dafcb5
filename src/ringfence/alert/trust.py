"""What of the settings of warnings only root may change: everything that would lend the sender's rights to others.

The sender reads the files that the settings name before it gives up its rights, and runs the programs that they name.
Who could choose these on the page could have the first line of any file sent to a server of their own. Pure.
"""

from __future__ import annotations

from ringfence.alert.alerting import Alerting
from ringfence.alert.declared import MailSettings

USUAL_PROGRAM = MailSettings().sendmail


def only_for_root(before: Alerting, after: Alerting) -> str:
    """Which of the changes only root may make, by its place; empty when there is none. To take away is free."""
    old = _named(before)
    for place, value in _named(after).items():
        if value and value != old.get(place):
            return place
    mail = after.mail
    kept = mail.password_file or (mail.password and mail.password == before.mail.password)
    if kept and _leads_to(after) != _leads_to(before):
        return "[mail] server, port, security and verify, while the password stays the same"
    return ""


def _named(alerting: Alerting) -> dict[str, object]:
    """The files and programs that the settings name, by place."""
    mail = alerting.mail
    found: dict[str, object] = {
        "[mail] password_file": mail.password_file,
        "[mail] ca": mail.ca,
        "[mail] recipients_file": mail.recipients_file,
        "[mail] sendmail": mail.sendmail if mail.sendmail != USUAL_PROGRAM else None,
        "[watch] certificates": alerting.watch.certificates,
    }
    for one in alerting.mail_for:
        if one.recipients_file is not None:
            found[f"[[mail_for]] recipients_file {one.recipients_file}"] = True
    for channel in alerting.channel:
        where = f'[[channel]] "{channel.name}"'
        found[f"{where} command"] = channel.command
        found[f"{where} url_file"] = channel.url_file
        # The key signs what goes to the URL: it is worth something only there.
        found[f"{where} secret_file"] = channel.secret_file and (channel.secret_file, channel.url)
    return found


def _leads_to(alerting: Alerting) -> object:
    mail = alerting.mail
    return mail.server, mail.port, mail.security, mail.verify
