"""A worker as a process: `python -P -m widthwise.evaluators.workers DESCRIPTOR`, over a socket."""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading

from widthwise.evaluators.workers.channel import Channel
from widthwise.evaluators.workers.worker import Work


def serve(channel: Channel) -> None:
    """Answer until the driver is gone: then the process ends at once, whatever it is doing."""
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                messages.put(channel.receive())
        except (EOFError, OSError, ValueError):
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    work = Work(messages.get())
    channel.send(work.start())
    while True:
        channel.send(work.answer(messages.get()))


def main() -> None:
    """The process."""
    os.dup2(2, 1)  # what the user's code prints must not get between the driver's results
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)  # programs that it starts don't keep the driver waiting
    serve(Channel(socket.socket(fileno=descriptor)))


if __name__ == "__main__":
    main()
