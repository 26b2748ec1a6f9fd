# SPDX-License-Identifier: BSD-2-Clause
"""What an observer has attached in the kernel, and how it is taken away from it.

A tracing link ends with its last descriptor, and nobody but its holder can close that: so the holder is
stopped (ptrace) and made to call dup2(2, descriptor), as if /dev/null had been opened over it.
"""

import ctypes
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

from harness import Skip

PTRACE_PEEKTEXT, PTRACE_POKETEXT, PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS = 1, 4, 7, 12, 13
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
SYS_DUP2 = 33
SYSCALL_TRAP = 0xCC050F  # syscall; int3

# struct user_regs_struct of x86-64, in its order
REGS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base "
        "ds es fs gs").split()


class Regs(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in REGS]


def bpftool(*args):
    tool = shutil.which("bpftool") or "/usr/sbin/bpftool"
    if not os.path.exists(tool):
        raise Skip("no bpftool")
    out = subprocess.run([tool, "-j", *map(str, args)], capture_output=True, text=True)
    if out.returncode != 0:
        raise Skip(f"bpftool {args[0]}: {out.stdout} {out.stderr}")
    return json.loads(out.stdout or "null")


def links(pid):
    """(descriptor, link's id, program's name) of each link that the process holds."""
    names = {}
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        except FileNotFoundError:
            continue
        if "link_id" not in fields or "prog_id" not in fields:
            continue
        prog = int(fields["prog_id"])
        names[prog] = names.get(prog) or bpftool("prog", "show", "id", prog)["name"]
        yield int(info.name), int(fields["link_id"]), names[prog]


def call(pid, nr, *args):
    """Have the process make a system call; its result."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.restype = ctypes.c_long
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def ptrace(request, addr=0, data=0):
        r = libc.ptrace(request, pid, addr, data)
        assert r != -1 or request == PTRACE_PEEKTEXT, f"ptrace {request}: {os.strerror(ctypes.get_errno())}"
        return r

    ptrace(PTRACE_ATTACH)
    os.waitpid(pid, 0)
    before, regs = Regs(), Regs()
    ptrace(PTRACE_GETREGS, 0, ctypes.addressof(before))
    ctypes.memmove(ctypes.addressof(regs), ctypes.addressof(before), ctypes.sizeof(regs))
    text = ptrace(PTRACE_PEEKTEXT, before.rip)
    try:
        ptrace(PTRACE_POKETEXT, before.rip, SYSCALL_TRAP)
        regs.rax, regs.orig_rax = nr, 2**64 - 1  # and no restart of what it was in
        for name, value in zip(("rdi", "rsi", "rdx"), args):
            setattr(regs, name, value)
        ptrace(PTRACE_SETREGS, 0, ctypes.addressof(regs))
        ptrace(PTRACE_CONT)
        os.waitpid(pid, 0)
        ptrace(PTRACE_GETREGS, 0, ctypes.addressof(regs))
    finally:
        ptrace(PTRACE_POKETEXT, before.rip, text)
        ptrace(PTRACE_SETREGS, 0, ctypes.addressof(before))
        ptrace(PTRACE_DETACH)
    return ctypes.c_longlong(regs.rax).value


def take_away(pid, programs):
    """End the links of these programs; the process is the caller's own child, and does not know."""
    if platform.machine() != "x86_64":
        raise Skip("is told in x86-64 registers only")
    gone = set()
    for fd, _, name in list(links(pid)):
        # the kernel keeps 15 letters of a name where there is no type information
        mine = [p for p in programs if p == name or (len(name) == 15 and p.startswith(name))]
        if mine:
            assert call(pid, SYS_DUP2, 2, fd) == fd
            gone.update(mine)
    assert gone == set(programs), f"taken away {gone} of {programs}"
