"""Runs under the system's Python: fail2ban's own file filter over a file, in process, with a jail that never bans.

Prints one JSON object: `seconds` for reading the file (without start-up) and `failures`, the failures it counted.
Usage: python3 fail2ban_filter.py FILE
"""

import json
import logging
import sys
import time
import warnings

warnings.simplefilter("ignore")

from fail2ban.client.filterreader import FilterReader  # type: ignore[import-not-found]  # noqa: E402
from fail2ban.server.jail import Jail  # type: ignore[import-not-found]  # noqa: E402
from fail2ban.server.server import Server  # type: ignore[import-not-found]  # noqa: E402
from fail2ban.server.transmitter import Transmitter  # type: ignore[import-not-found]  # noqa: E402


def main(path: str) -> None:
    """Read `path` as the server's polling backend would and print what it took."""
    logging.getLogger("fail2ban").setLevel(logging.WARNING)
    server = Server()
    transmitter = Transmitter(server)
    reader = FilterReader("sshd", "sshd", {}, basedir="/etc/fail2ban")
    reader.read()
    reader.getOptions({})
    transmitter.proceed(["add", "sshd", "polling"])
    for command in reader.convert():
        transmitter.proceed(command)
    transmitter.proceed(["set", "sshd", "maxretry", "100000000"])
    transmitter.proceed(["set", "sshd", "findtime", "10d"])
    jail: Jail = server._Server__jails["sshd"]
    jail.filter.active = True
    jail.filter.addLogPath(path, autoSeek=False)
    begin = time.perf_counter()
    jail.filter.getFailures(path)
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "failures": jail.filter.failManager.getFailTotal()}))


if __name__ == "__main__":
    main(sys.argv[1])
