"""A simulation of Windows on Linux: hides POSIX-only modules, functions and constants.

They are hidden from captioner only, since its dependencies have their own support for Windows. The
few functions of pywin32, msvcrt and kernel32 that captioner calls are replaced by ones on Linux
files: alternate data streams are extended attributes, permissions are a file's mode. Functions that
behave differently on Windows are replaced too: a folder cannot be opened, a rename replaces no
file, and a file that another program has open (environment variable `BUSY_FILE`) cannot be replaced
or removed.

Paths keep POSIX rules here; Windows' rules are tested with `ntpath`.
"""

from __future__ import annotations

import builtins
import ctypes
import errno
import os
import shutil
import signal
import stat
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

MODULES = {"fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "syslog", "posix"}
OF_OS = {
    "O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC", "O_TMPFILE",
    "chown", "chroot", "ctermid", "fchdir", "fchmod", "fchown", "fork", "forkpty", "getegid",
    "geteuid", "getgid", "getgroups", "getloadavg", "getpgid", "getpriority", "getuid", "getxattr",
    "initgroups", "killpg", "lchown", "listxattr", "lockf", "mkfifo", "mknod", "nice", "openpty",
    "posix_fadvise", "posix_fallocate", "pread", "pwrite", "removexattr", "sched_getaffinity",
    "sched_setaffinity", "sendfile", "setegid", "seteuid", "setgid", "setsid", "setuid",
    "setxattr", "statvfs", "fstatvfs", "sync", "sysconf", "tcgetpgrp", "ttyname", "uname", "wait",
    "wait3", "wait4", "WTERMSIG",
}  # fmt: skip
OF_SIGNAL = {
    "ITIMER_PROF", "ITIMER_REAL", "ITIMER_VIRTUAL", "SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP",
    "SIGKILL", "SIGPIPE", "SIGPROF", "SIGQUIT", "SIGSTOP", "SIGTSTP", "SIGUSR1", "SIGUSR2",
    "SIGWINCH", "alarm", "getitimer", "pause", "pthread_kill", "pthread_sigmask", "setitimer",
    "siginterrupt", "sigwait",
}  # fmt: skip
STREAM = "user.stream."


class Without(ModuleType):
    """A module without some of its names, and with others replaced."""

    def __init__(self, module: ModuleType, missing: set[str], **replaced: object) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(replaced)
        self.__dict__.update(_module=module, _missing=missing)

    def __getattr__(self, name: str) -> Any:
        if name in self._missing:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on Windows")
        return getattr(self._module, name)


class Error(Exception):
    """`pywintypes.error`."""

    def __init__(self, winerror: int, funcname: str, strerror: str) -> None:
        super().__init__(winerror, funcname, strerror)
        self.winerror, self.funcname, self.strerror = winerror, funcname, strerror


def _open(path: Any, flags: int, mode: int = 0o777, **others: Any) -> int:
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)
    return os.open(path, flags, mode, **others)


def _rename(source: Any, target: Any) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "File exists", target)
    os.rename(source, target)


def _replace(source: Any, target: Any) -> None:
    _refuse_if_busy(target)
    os.replace(source, target)


def _refuse_if_busy(path: Any) -> None:
    if os.environ.get("BUSY_FILE") == os.path.basename(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)


def _copystat(source: Any, target: Any) -> None:
    found = os.stat(source)
    os.chmod(target, stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _copy_file(source: str, target: str, fail_if_exists: bool, /) -> None:
    if fail_if_exists and os.path.lexists(target):
        raise Error(80, "CopyFileW", "The file exists.")
    shutil.copyfile(source, target)
    for name in os.listxattr(source):
        os.setxattr(target, name, os.getxattr(source, name))


def _find_streams(path: str) -> list[tuple[int, str]]:
    streams = [
        (len(os.getxattr(path, name)), f":{name.removeprefix(STREAM)}:$DATA")
        for name in os.listxattr(path)
        if name.startswith(STREAM)
    ]
    return [(os.stat(path).st_size, "::$DATA"), *streams]


def _get_file_security(path: str, parts: int, /) -> tuple[int, int]:
    assert parts == 5
    found = os.stat(path)
    return found.st_uid, stat.S_IMODE(found.st_mode)


def _set_file_security(path: str, part: int, security: tuple[int, int], /) -> None:
    owner, mode = security
    if part == 4:
        os.chmod(path, mode)
    elif os.stat(path).st_uid != owner:
        try:
            os.chown(path, owner, -1)
        except PermissionError:
            raise Error(1307, "SetFileSecurity", "This may not be the owner.") from None


def _limit_memory(job: object, kind: int, limits: dict[str, Any]) -> None:
    if limits["BasicLimitInformation"]["LimitFlags"] & 0x100:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limits["ProcessMemoryLimit"], -1))


def _lock_descriptor(handle: int, *, blocking: bool) -> bool:
    assert not blocking
    exclusive_at_once = 2 | 4
    return ctypes.CDLL(None).flock(handle, exclusive_at_once) == 0


REPLACEMENTS: dict[str, ModuleType | SimpleNamespace] = {
    "os": Without(os, OF_OS, O_BINARY=0, open=_open, rename=_rename, replace=_replace),
    "signal": Without(signal, OF_SIGNAL, SIGBREAK=signal.SIGUSR1),
    "shutil": Without(shutil, {"chown"}, copystat=_copystat),
    "ctypes": Without(
        ctypes, set(),
        windll=SimpleNamespace(kernel32=SimpleNamespace(SetFileTime=lambda *_: 1)),
    ),
    "msvcrt": SimpleNamespace(get_osfhandle=lambda number: number),
    "pywintypes": SimpleNamespace(error=Error),
    "win32file": SimpleNamespace(CopyFileW=_copy_file, FindStreams=_find_streams),
    "win32security": SimpleNamespace(
        GetFileSecurity=_get_file_security,
        SetFileSecurity=_set_file_security,
        ConvertSecurityDescriptorToStringSecurityDescriptor=lambda found, *_: f"O:{found}D:AI",
    ),
    "win32api": SimpleNamespace(GetCurrentProcess=lambda: -1),
    "win32job": SimpleNamespace(
        JobObjectExtendedLimitInformation=9,
        JOB_OBJECT_LIMIT_PROCESS_MEMORY=0x100,
        CreateJobObject=lambda *_: object(),
        QueryInformationJobObject=lambda *_: {"BasicLimitInformation": {"LimitFlags": 0}},
        SetInformationJobObject=_limit_memory,
        AssignProcessToJobObject=lambda *_: None,
    ),
    "filelock": SimpleNamespace(lock_descriptor=_lock_descriptor),
}  # fmt: skip


def install() -> None:
    """Simulate Windows for captioner from now on. It must not have been imported yet."""
    assert not any(name.startswith("captioner.") for name in sys.modules)
    import_ = builtins.__import__
    patched: list[ModuleType] = []

    def seen(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        importer = str((globals or {}).get("__name__", ""))
        if importer.partition(".")[0] == "captioner":
            if name in MODULES:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if name in REPLACEMENTS:
                return REPLACEMENTS[name]
        module = import_(name, globals, locals, fromlist, level)
        if not patched and (mounts := sys.modules.get("captioner.index.mounts")):
            mounts.TABLE = Path("/no/list/of/mounts")  # type: ignore[attr-defined]
            patched.append(mounts)
        return module

    builtins.__import__ = seen
    unlink = Path.unlink

    def patient_unlink(path: Path, missing_ok: bool = False) -> None:
        _refuse_if_busy(path)
        unlink(path, missing_ok)

    Path.unlink = patient_unlink  # type: ignore[method-assign]
    from captioner import system

    system.WINDOWS = True
    from captioner.system import paths

    paths._MAX_LENGTH = sys.maxsize  # POSIX paths have no other form
