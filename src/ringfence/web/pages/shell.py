"""What every page needs beside itself: static files, the stream of changes, the choice of light or dark."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import NotFoundException, ServiceUnavailableException
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from ringfence.web.access import Permission, needs, own_path
from ringfence.web.frame import THEME_COOKIE, THEMES, version
from ringfence.web.live import MOST
from ringfence.web.pages.showing import Asked, Parts, Sent, Who
from ringfence.web.templating import static_files

YEAR = 31_536_000


@get("/static/{stamp:str}/{file:path}", opt=needs(Permission.OPEN), sync_to_thread=False)
def static(stamp: FromPath[str], file: FromPath[Path]) -> Response[bytes]:
    """A script, style or picture of ours."""
    content = static_files().get(str(file).lstrip("/"))
    if content is None or stamp != version():
        raise NotFoundException("there is no such file")
    kind = mimetypes.guess_type(str(file))[0] or "application/octet-stream"
    kept = {"cache-control": f"public, max-age={YEAR}, immutable"}
    return Response(content, media_type=f"{kind}; charset=utf-8", headers=kept)


@get("/favicon.ico", opt=needs(Permission.OPEN), sync_to_thread=False)
def favicon() -> Response[bytes]:
    """The picture in the browser's tab."""
    return Response(static_files()["icon.svg"], media_type="image/svg+xml")


@get("/live", opt=needs(Permission.SEE, Permission.OWN))
async def live(web: Parts, visitor: Who) -> Stream:
    """The names of what changed, as long as the login holds."""
    if web.live.streams >= MOST:
        raise ServiceUnavailableException("too many pages listen at once; this one does not update by itself")
    session = visitor.session

    def goes_on() -> bool:
        return session is not None and web.sessions.holds(session, web.clock())

    async def text() -> AsyncIterator[str]:
        async for part in web.live.stream(goes_on):
            yield part

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(text, media_type="text/event-stream", headers=headers)


@post("/theme", opt=needs(Permission.OPEN), sync_to_thread=False)
def theme(request: Asked, web: Parts, form: Sent) -> Redirect:
    """Light, dark, or what the system says."""
    chosen = form["theme"] if form["theme"] in THEMES else "auto"
    cookie = Cookie(THEME_COOKIE, value=chosen, max_age=YEAR, secure=web.secure, samesite="lax", path="/")
    return Redirect(own_path(form["back"] or "/"), status_code=303, cookies=[cookie])


ROUTES: list[Any] = [static, favicon, live, theme]
