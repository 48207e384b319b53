"""nftables of one network namespace over netlink, for what has to be done or seen in many in the same moment."""

import os
import socket
import struct

from pods import within

NETLINK_NETFILTER = 12
# Of linux/netfilter/nfnetlink.h and nf_tables.h.
BATCH_BEGIN, BATCH_END, NFTABLES = 0x10, 0x11, 10 << 8
GET_TABLE, DELETE_TABLE = 1, 2
TABLE_NAME = 1
REQUEST, ACKNOWLEDGE = 1, 4
ERROR = 2
INET = 1


def message(kind, flags, body, sequence, family=0, subsystem=0):
    data = struct.pack("=BBH", family, 0, socket.htons(subsystem)) + body
    return struct.pack("=IHHII", 16 + len(data), kind, flags, sequence, 0) + data


class Rules:
    def __init__(self, pod):
        with within(pod):
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        self.socket.settimeout(5)

    def flush(self):
        """As `nft flush ruleset` does."""
        self.socket.send(message(BATCH_BEGIN, REQUEST, b"", 1, subsystem=10)
                         + message(NFTABLES | DELETE_TABLE, REQUEST | ACKNOWLEDGE, b"", 2)
                         + message(BATCH_END, REQUEST, b"", 3, subsystem=10))
        code = -struct.unpack_from("=i", self.socket.recv(1 << 16), 16)[0]
        if code:
            raise OSError(code, os.strerror(code))

    def has(self, table):
        """Whether there is an inet table of this name."""
        name = table.encode() + b"\0"
        attribute = struct.pack("=HH", 4 + len(name), TABLE_NAME) + name + b"\0" * (-len(name) % 4)
        self.socket.send(message(NFTABLES | GET_TABLE, REQUEST | ACKNOWLEDGE, attribute, 4, family=INET))
        found = False
        while struct.unpack_from("=H", self.socket.recv(1 << 16), 4)[0] != ERROR:
            found = True
        return found
