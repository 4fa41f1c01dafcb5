"""Ringfence watches logins, counts failed attempts per address and keeps the guilty out at the kernel firewall."""

__version__ = "0.1.0"
