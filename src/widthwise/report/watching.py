"""A search as a live page: served to this machine alone, read from the store, never written to.

The page is at an address with a token in it, which nobody can guess, and for requests that name this
server's own address: a page of somebody else in the same browser can neither find nor read it.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from widthwise.core.errors import UserError
from widthwise.report.page.study import page_of
from widthwise.report.shown.view import study_view
from widthwise.study.searching import is_searching
from widthwise.study.study import Study

HOST = "127.0.0.1"
LOOK_SECONDS = 0.5  # between two looks at the store
REST = 4  # a page is made anew after so many times as long as making the last one took
FETCH_SECONDS = 1.0  # for a page to fetch the last state, once it was told of the end
GRACE_SECONDS = 5.0  # for all pages to be told of it
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass
class Watched:
    """The page of a study as it is now; made anew when trials came, not more often than it can be."""

    load: Callable[[], Study]
    rule: str | None = None
    number: int = 0  # of the page; greater each time
    ended: bool = False
    page: bytes = b""
    _mark: tuple[int, bool] | None = None
    _next: float = 0.0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def look(self) -> None:
        """Looks at the store, and makes the page anew where something came."""
        study = self.load()
        ended = not is_searching(study)
        mark = (study.summary.trials, ended)
        now = time.monotonic()
        if mark == self._mark or (now < self._next and not ended):
            return
        page = page_of(study_view(study, rule=self.rule), live=not ended).encode()
        self._mark, self._next = mark, now + REST * (time.monotonic() - now)
        with self._changed:
            self.page, self.ended, self.number = page, ended, self.number + 1
            self._changed.notify_all()

    def wait(self, number: int, seconds: float) -> int:
        """The number of the page as soon as it is another one than `number`, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.number != number, timeout=seconds)
            return self.number


class Server:
    """Serves one page on this machine, in threads of its own, inside `with`."""

    def __init__(self, watched: Watched, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        try:
            self._server = ThreadingHTTPServer((HOST, port), partial(_Handler, self, watched))
        except OSError as error:
            raise UserError(
                f"--port {port}: can't be used: {error.strerror}; leave it out for a free one"
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.following: set[int] = set()  # pages that are told of what comes, by the thread that does

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def __enter__(self) -> Server:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        ).start()
        return self

    def finish(self) -> None:
        """Waits until pages that follow the search were told of its end."""
        until = time.monotonic() + GRACE_SECONDS
        while self.following and time.monotonic() < until:
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """GET of the page and of its events; nothing else is there."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "widthwise", ""

    def __init__(self, serving: Server, watched: Watched, *of_request: Any) -> None:
        self.serving, self.watched = serving, watched
        super().__init__(*of_request)  # which answers the request

    def do_GET(self) -> None:
        hosts = {f"{HOST}:{self.serving.port}", f"localhost:{self.serving.port}"}
        if self.headers.get("Host") not in hosts:
            self._answer(403, b"this page is for the machine that it is on\n")
            return
        _, token, what = (*self.path.split("/", 2), "", "")[:3]
        if not hmac.compare_digest(token.encode(), self.serving.token.encode()):
            self._answer(404, b"no such page; the address has a token, as widthwise watch printed it\n")
        elif what in ("", "page"):
            self._answer(200, self.watched.page, "text/html; charset=utf-8")
        elif what == "events":
            self._tell()
        else:
            self._answer(404, b"no such page\n")

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self._send_headers({"Content-Type": kind, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _send_headers(self, own: Mapping[str, str]) -> None:
        for name, value in {**HEADERS, **own}.items():
            self.send_header(name, value)
        self.end_headers()

    def _tell(self) -> None:
        """Events until the search ends or the page is closed."""
        self.send_response(200)
        self._send_headers({"Content-Type": "text/event-stream", "Connection": "close"})
        self.close_connection = True
        number, me = self.watched.number, threading.get_ident()
        self.serving.following.add(me)
        try:
            while not self.watched.ended:
                found = self.watched.wait(number, 10.0)
                self._event("changed" if found != number else "still")
                number = found
            self._event("changed")  # a page that came late
            self._event("ended")
            time.sleep(FETCH_SECONDS)
        except OSError:  # the page was closed
            pass
        finally:
            self.serving.following.discard(me)

    def _event(self, name: str) -> None:
        self.wfile.write(f"event: {name}\ndata: 1\n\n".encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's name)
        del format, args
