# SPDX-License-Identifier: BSD-2-Clause
"""A line between two network namespaces that is as bad as a case says. This machine's kernel need not have
netem for it: the packets pass through this process."""

import contextlib
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time

from harness import Env, unique


def ip(*args):
    subprocess.run(["ip", *args], check=True, stdout=subprocess.DEVNULL, timeout=20)


class SlowLink:
    """10.77.0.1 and .2; attributes say how late a packet arrives, and which share of them is lost; a
    black hole takes all, and neither end is told of it. What is lost is counted."""

    def __init__(self, nets):
        self.delay_s = 0.002
        self.loss = 0.0
        self.black_hole = False
        self.lost = 0
        self.chance = random.Random(1)
        self.fds = [self.tun(net, i) for i, net in enumerate(nets, 1)]
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        Env.cleanup.callback(self.close)

    @staticmethod
    def tun(net, i):
        """Made here, then moved: it stays ours to read and write."""
        name = unique("t")[-10:]
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))  # TUN, no header
        ip("link", "set", name, "netns", net.name)
        ip("-n", net.name, "addr", "add", f"10.77.0.{i}/24", "dev", name)
        ip("-n", net.name, "link", "set", name, "up")
        return fd

    def loses(self):
        lost = self.black_hole or self.chance.random() < self.loss
        self.lost += lost
        return lost

    def run(self):
        late, n = [], 0
        while not self.over.is_set():
            wait = max(0.0, late[0][0] - time.monotonic()) if late else 0.1
            for fd in select.select(self.fds, [], [], min(wait, 0.1))[0]:
                with contextlib.suppress(OSError):
                    packet = os.read(fd, 65536)
                    n += 1
                    if not self.loses():
                        heapq.heappush(late, (time.monotonic() + self.delay_s, n,
                                              self.fds[fd == self.fds[0]], packet))
            while late and late[0][0] <= time.monotonic():
                with contextlib.suppress(OSError):
                    os.write(late[0][2], late[0][3])
                heapq.heappop(late)

    def close(self):
        self.over.set()
        self.thread.join(5)
        for fd in self.fds:
            os.close(fd)
