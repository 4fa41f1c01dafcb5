"""The one door to all ways but mail: which of them a channel is, and what it is given."""

from __future__ import annotations

import msgspec

from ringfence.alert.alerting import first_line
from ringfence.alert.chat import send_to_chat
from ringfence.alert.command import send_to_command
from ringfence.alert.declared import ChannelSettings
from ringfence.alert.message import Mark, Message, Outcome
from ringfence.alert.webhook import post


def payload(message: Message, id: str) -> bytes:
    """What programs are told: the message's facts and its `id`, as one JSON object."""
    return msgspec.json.encode({"id": id} | {key: value for key, value in message.facts.items() if key != "id"})


def secrets_of(channel: ChannelSettings) -> tuple[str, str]:
    """(URL, key) of `channel`, from their files where it has such. Raises SettingsError."""
    where = f"[[channel]] {channel.name}"
    url = first_line(channel.url_file, f"{where} url_file") if channel.url_file else channel.url
    key = first_line(channel.secret_file, f"{where} secret_file") if channel.secret_file else channel.secret
    return url, key


async def send_channel(
    channel: ChannelSettings, url: str, key: str, message: Message, id: str, mark: Mark, *, now: float
) -> Outcome:  # fmt: skip
    """Tell `channel` of `message`; `id` is the same for every try; `url` and `key` are of `secrets_of`.

    `now` in seconds UTC. Raises only what `mark` raises.
    """
    if channel.type == "webhook":
        return await post(url, key, id, payload(message, id), mark, timeout=channel.timeout, now=now)
    if channel.type == "command":
        return await send_to_command(channel.command, payload(message, id), mark, timeout=channel.timeout)
    if channel.type == "apprise":
        return await send_to_chat(url, message, mark, timeout=channel.timeout)
    return Outcome(state="failed", answer=f"{channel.name}: has no type")
