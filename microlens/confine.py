"""What a process that decodes the files of strangers may not do: eat the machine, write, talk, start programs.

    python -m microlens.confine PARENT MEMORY_BYTES FILE_BYTES CPU_S PROGRAM ARGUMENT...

does so to a program that is not ours, but for the last: it could start others, which may do no more than itself.

Plain Linux, no root: resource limits, and a system call filter (seccomp, as ctypes and one table of numbers). On other
systems, and on processors that the table does not know, the limits alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1
"""The latter: the call fails with EPERM."""
_LOAD, _EQUALS, _IS_AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_OTHER_FORMS = 0x40000000
"""From this number on: x86's second set of the same calls."""
_STARTS = {"x86_64": 59, "aarch64": 221}
"""execve"""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# By machine: its audit number, then open and openat, then what is refused whatever its arguments. Files: creat, rename,
# unlink, link, symlink, mkdir, rmdir, mknod, chmod, truncate, openat2. Others: socket, connect, bind, execve, ptrace,
# kill, tkill, tgkill, process_vm_readv and _writev, io_uring_setup.
_MACHINES: dict[str, tuple[int, dict[int, int], tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        {2: 1, 257: 2},
        (
            *(85, 82, 264, 316, 87, 263, 86, 265, 88, 266, 83, 258, 84, 133, 259, 90, 268, 76, 437),
            *(41, 42, 49, 59, 322, 101, 62, 200, 234, 310, 311, 425),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        {56: 2},
        (*(38, 276, 35, 37, 36, 34, 33, 53, 45, 437), *(198, 203, 200, 221, 281, 117, 129, 130, 131, 270, 271, 425)),
    ),
}


def die_with(parent: int) -> None:
    """Have this process killed when its parent dies; ends it at once if that has happened already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def limit(*, memory_bytes: int, file_bytes: int, cpu_s: int = 0) -> None:
    """Bound this process's memory (of its own: code that it shares does not count), files and core dumps.

    And its time on the processor, if given, at the end of which SIGXCPU ends it.
    """
    wanted = {
        resource.RLIMIT_DATA: memory_bytes,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in wanted.items():
        _limit(what, most, most)
    if cpu_s:
        _limit(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)  # at the second one Linux kills without a word


def _limit(what: int, soft: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with contextlib.suppress(OSError, ValueError):  # a system that does not have this limit
        resource.setrlimit(what, (min(soft, bound), bound))


def forbid(*, but_to_start: bool = False) -> bool:
    """Refuse this process, and all that it starts, what `_MACHINES` lists; gives whether that could be had.

    Files can be opened for reading only; what was open before, or is handed over, stays as it is. `but_to_start` leaves
    execve, without which nobody can become another program.
    """
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return False
    number, opens, refused = machine
    if but_to_start:
        refused = tuple(call for call in refused if call != _STARTS[platform.machine()])
    code = b"".join(_program(number, opens, refused))
    program = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HP", len(code) // 8, ctypes.addressof(program))
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, None, 0, 0) != 0:
        return False
    return bool(prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, head, 0, 0) == 0)


def _program(machine: int, opens: dict[int, int], refused: tuple[int, ...]) -> list[bytes]:
    """The filter in BPF: jumps count the steps that are left out if the comparison holds, and if it does not."""
    steps = [
        _step(_LOAD, _MACHINE_AT),
        _step(_EQUALS, machine, 1, 0),
        _step(_RETURN, _REFUSE),
        _step(_LOAD, _NUMBER_AT),
        _step(_IS_AT_LEAST, _OTHER_FORMS, 0, 1),
        _step(_RETURN, _REFUSE),
    ]
    for number in refused:
        steps += [_step(_EQUALS, number, 0, 1), _step(_RETURN, _REFUSE)]
    for number, argument in opens.items():
        steps += [
            _step(_EQUALS, number, 0, 4),
            _step(_LOAD, _ARGUMENTS_AT + 8 * argument),
            _step(_HAS_BITS, _WRITES, 0, 1),
            _step(_RETURN, _REFUSE),
            _step(_RETURN, _ALLOW),
        ]
    return [*steps, _step(_RETURN, _ALLOW)]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def main(arguments: list[str]) -> None:
    parent, memory_bytes, file_bytes, cpu_s = map(int, arguments[:4])
    program = arguments[4:]
    die_with(parent)
    limit(memory_bytes=memory_bytes, file_bytes=file_bytes, cpu_s=cpu_s)
    forbid(but_to_start=True)
    os.execvp(program[0], program)  # noqa: S606 - a shell would be one program more


if __name__ == "__main__":
    main(sys.argv[1:])
