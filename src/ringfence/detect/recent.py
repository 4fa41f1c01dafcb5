"""A bounded memory that forgets what was not used for longest, roughly, at a constant cost per access."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A map of at most `size` items, kept as two generations of half that.

    A full young generation becomes the old one, and the old one is dropped; what is asked for moves to the young
    one. So nothing is ever searched for the oldest item, which a single dict would do slowly after many deletions.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value of `key`, or None."""
        value = self._young.get(key)
        if value is None and self._old:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember `value`; whatever was not used for longest may go."""
        self._young[key] = value
        if len(self._young) > self._half:
            self._old = self._young
            self._young = {}

    def pop(self, key: K) -> None:
        """Forget `key`, if it is known."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._young.clear()
        self._old.clear()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
