"""A worker as a process: `python -P -m widthwise.evaluators.workers DESCRIPTOR`, over a socket."""

from __future__ import annotations

import os
import queue
import sys
import threading
from multiprocessing.connection import Connection

from widthwise.evaluators.workers.worker import Work


def serve(connection: Connection) -> None:
    """Answer until the driver is gone: then the process ends at once, whatever it is doing."""
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                messages.put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    work = Work(messages.get())
    connection.send_bytes(work.start())
    while True:
        connection.send_bytes(work.answer(messages.get()))


def main() -> None:
    """The process."""
    os.dup2(2, 1)  # what the user's code prints must not get between the driver's results
    serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
