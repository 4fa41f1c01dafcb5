"""Which of fail2ban's filters a kind of ours reads already.

By the filter's name, and only if such a kind is in the catalogue. The digests are of the files as fail2ban 1.0.2 ships
them (Debian 12): with another file the report says that it differs, since an edited one may know more.
"""

from __future__ import annotations

from typing import Final

from ringfence.importing.filters import Filter
from ringfence.parse.catalogue import Catalogue, Kind

_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "sshd": ("openssh",), "dropbear": ("dropbear",),
    "asterisk": ("asterisk",), "freeswitch": ("freeswitch",), "kamailio": ("kamailio",), "opensips": ("opensips",),
    "postfix": ("postfix",), "postfix-sasl": ("postfix",), "exim": ("exim",), "sendmail-auth": ("sendmail",),
    "opensmtpd": ("opensmtpd",), "dovecot": ("dovecot",), "courier-auth": ("courier",), "courier-smtp": ("courier",),
    "cyrus-imap": ("cyrus",), "nginx-http-auth": ("nginx",), "apache-auth": ("apache",),
    "vsftpd": ("vsftpd",), "proftpd": ("proftpd",), "pure-ftpd": ("pureftpd",),
    "mysqld-auth": ("mysql", "mariadb"), "mongodb-auth": ("mongodb",), "postgresql": ("postgres",), "redis": ("redis",),
    "slapd": ("slapd", "openldap"), "squid": ("squid",), "openvpn": ("openvpn",), "webmin-auth": ("webmin",),
    "phpmyadmin-syslog": ("phpmyadmin",), "roundcube-auth": ("roundcube",), "nextcloud": ("nextcloud",),
    "gitea": ("gitea", "forgejo"), "forgejo": ("forgejo", "gitea"), "vaultwarden": ("vaultwarden",),
    "grafana": ("grafana",), "proxmox": ("proxmox",), "wordpress": ("wordpress",),
    "wordpress-hard": ("wordpress",), "homeassistant": ("homeassistant", "hass"), "hass": ("homeassistant", "hass"),
    "freepbx": ("freepbx",), "fusionpbx": ("fusionpbx",), "cockpit": ("cockpit",), "xinetd-fail": ("xinetd",),
    "pam-generic": ("pam",), "lighttpd-auth": ("lighttpd",), "sendmail-reject": ("sendmail",), "sieve": ("cyrus",),
    "coturn": ("coturn",), "yate": ("yate",), "telnetd": ("telnet",),
}  # fmt: skip
"""Filter -> words, one of which the name of such a kind holds."""

_OTHER_LINES: Final = {("postfix", "rbl"), ("postfix", "errors")}
"""Modes of a filter that are about other lines than those that the kind reads."""

_SHIPPED: Final = {
    "sshd": "bc1e66be4a49b9e3",
    "dropbear": "b4921a07ed2e8fe0",
    "asterisk": "daa12226067c2ec4",
    "freeswitch": "0192c6ff5d368fe6",
    "postfix": "dc016f69a10684bb",
    "exim": "9c87158d9c4a8b11",
    "sendmail-auth": "3397bcc06c3a5e20",
    "dovecot": "3f8e1df8bd41e7ac",
    "courier-auth": "44627f46ce0eb204",
    "courier-smtp": "c92091b56bbc4f11",
    "cyrus-imap": "0c3e154f19e5f275",
    "nginx-http-auth": "e9284950f8da5509",
    "apache-auth": "b4be2cf0f3d139d6",
    "vsftpd": "08f8cc1163825aac",
    "proftpd": "84ea809bef4fcbf6",
    "pure-ftpd": "2c777c62463df90f",
    "mysqld-auth": "22c256bf66446218",
    "mongodb-auth": "9c62527062adb4bd",
    "slapd": "6514230b6117ae8f",
    "squid": "615f73a840ccca37",
    "webmin-auth": "66d047211b65359e",
    "phpmyadmin-syslog": "88d1a1f168c22f0c",
    "roundcube-auth": "dcbc44055e4cd4da",
    "grafana": "88c887a3ca69881f",
    "xinetd-fail": "861ba75cbae453f9",
    "pam-generic": "dd1fb38c2dcd6c40",
    "lighttpd-auth": "22db233cbb5ef64a",
    "sendmail-reject": "1f2388b6d81c13d8",
    "sieve": "0923f00baa1949c2",
}
"""Filter -> the first digits of the SHA-256 of its file."""


def covering(found: Filter, mode: str, catalogue: Catalogue) -> list[Kind]:
    """The kinds that read what this filter looks for; none if there is none, or if the filter is not one of these."""
    if (found.name, mode) in _OTHER_LINES:
        return []
    words = _WORDS.get(found.name, ())
    return [kind for name, kind in catalogue.kinds.items() if any(word in name.replace("-", "") for word in words)]


def is_shipped(found: Filter) -> bool:
    """Whether its `.conf` is the one of fail2ban 1.0.2, word for word."""
    return _SHIPPED.get(found.name) == found.digest
