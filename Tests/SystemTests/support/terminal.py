"""A program on a terminal of its own, and somebody in front of it who reads and types."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>]|\][^\x07]*\x07)")


def plain(text):
    """What is left without escape sequences."""
    return ESCAPES.sub("", text).replace("\r", "")


class Terminal:
    """`wait` for what is shown, `type`, `resize`, and in the end `ended`."""

    def __init__(self, *command, columns=100, rows=30, environment=None):
        self.output, self.place = "", 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
            words = [str(word) for word in command]
            os.execvpe(words[0], words, {**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environment or {})})

    def read(self, seconds):
        """Whether anything more came."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            more = os.read(self.fd, 65536)
        except OSError:
            more = b""
        self.output += more.decode(errors="replace")
        return bool(more)

    def wait(self, pattern, seconds=15):
        """The match of what is shown behind what was waited for before; None where it does not come."""
        deadline = time.monotonic() + seconds
        while True:
            found = re.compile(pattern, re.S).search(self.output, self.place)
            if found:
                self.place = found.end()
                return found
            left = deadline - time.monotonic()
            if left <= 0 or (not self.read(min(left, 0.5)) and self.over()):
                return None

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def over(self):
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def restored(self):
        """Whether lines are edited and shown again."""
        flags = termios.tcgetattr(self.fd)[3]
        return bool(flags & termios.ICANON and flags & termios.ECHO)

    def ended(self, seconds=15):
        """The exit status, negative for a signal; None for a program that had to be killed."""
        deadline = time.monotonic() + seconds
        while not self.over() and time.monotonic() < deadline:
            self.read(0.1)
        while self.read(0.05):
            pass
        late = not self.over()
        if late:
            os.kill(self.pid, signal.SIGKILL)
        self.was_restored = self.restored()
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return None if late else status
