"""Messages over a socket: each with a mark and its length before it, so bytes that are none are known."""

from __future__ import annotations

import socket
import struct

MARK = b"width\x00w1"
HEAD = struct.Struct("<8sQ")
MOST_BYTES = 2**34  # of a message: weights of large networks are in it
AT_ONCE = 2**20


class NoMessageError(ValueError):
    """What came is no message of ours."""


class Channel:
    """One end of a socket that only two processes have.

    The driver reads with `arrived`, which never waits: a worker that writes half a message and stops holds
    nobody up. Raises NoMessageError for anything but messages, EOFError where the other end is gone.
    """

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._held = bytearray()

    def send(self, message: bytes) -> None:
        """Whole, however long it takes; raises OSError where the other end is gone."""
        self.end.sendall(HEAD.pack(MARK, len(message)))
        self.end.sendall(message)

    def receive(self) -> bytes:
        """The next message, waited for."""
        while (message := self._taken()) is None:
            self._read(self.end.recv(AT_ONCE))
        return message

    def arrived(self) -> list[bytes]:
        """The messages that are complete by now."""
        try:
            self._read(self.end.recv(AT_ONCE, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return []
        found = []
        while (message := self._taken()) is not None:
            found.append(message)
        return found

    def close(self) -> None:
        """Nothing is sent or received after that."""
        self.end.close()

    def _read(self, content: bytes) -> None:
        if not content:
            raise EOFError
        self._held += content

    def _taken(self) -> bytes | None:
        """The first message of what is held, None where it isn't whole yet."""
        if not MARK.startswith(bytes(self._held[: len(MARK)])):
            raise NoMessageError
        if len(self._held) < HEAD.size:
            return None
        _, length = HEAD.unpack_from(self._held)
        if length > MOST_BYTES:
            raise NoMessageError
        stop = HEAD.size + length
        if len(self._held) < stop:
            return None
        message = bytes(self._held[HEAD.size : stop])
        del self._held[:stop]
        return message
