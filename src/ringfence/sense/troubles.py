"""Say each trouble once when it begins and once when it ends."""

from __future__ import annotations


class Troubles:
    """What is wrong now, by the thing that it is wrong with, and what of that is news."""

    def __init__(self) -> None:
        self._current: dict[str, str] = {}
        self._news: list[str] = []

    def say(self, about: str, what: str) -> None:
        """`about` has the trouble `what`; news if it had none or another one."""
        if self._current.get(about) != what:
            self._current[about] = what
            self._news.append(f"{about}: {what}")

    def end(self, about: str, what: str) -> None:
        """`about` has no trouble any more; news, with the words `what`, if it had one that was told."""
        trouble = self._current.pop(about, None)
        if trouble is None:
            return
        begun = f"{about}: {trouble}"
        if begun in self._news:
            self._news.remove(begun)  # over before anybody heard of it
        else:
            self._news.append(f"{about}: {what}")

    def forget(self, about: str) -> None:
        """`about` is nothing that concerns us any more."""
        self._current.pop(about, None)

    def of(self, about: str) -> str:
        """The trouble of `about`, "" if it has none."""
        return self._current.get(about, "")

    def news(self) -> list[str]:
        """What was not told yet."""
        news, self._news = self._news, []
        return news
