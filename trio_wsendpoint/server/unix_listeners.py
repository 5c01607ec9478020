"""Opens Unix sockets: replaces a file that an ended process has left, and removes its own.

The file is made in this order: bind, chmod, chown, listen.  Before `listen` every connect is
refused, so no client gets in while the permissions are not yet right; and the umask, which belongs
to the whole process, is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from dataclasses import dataclass

import trio

from trio_wsendpoint.addressing import UnixAddress
from trio_wsendpoint.server.listen import Listen
from trio_wsendpoint.server.wrappers import SocketWrapper

__all__ = ["UnixListener", "open_unix_listener"]

#: What a connect says if a process listens: its backlog is full, or it speaks datagrams.
_IN_USE = frozenset({0, errno.EAGAIN, errno.EWOULDBLOCK, errno.EINPROGRESS, errno.EPROTOTYPE})
#: Tries to lock the folder, and seconds between them: another process is opening a socket there,
#: which takes less than a millisecond.
_TRIES = 100
_PAUSE = 0.05
_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFREG: "a file"}


@dataclass(frozen=True, slots=True)
class _File:
    """The file of a socket that this process has made."""

    path: str
    device: int
    inode: int
    process: int

    @classmethod
    def find(cls, path: str) -> _File:
        """Return what is at `path` now."""
        found = os.lstat(path)
        return cls(path, found.st_dev, found.st_ino, os.getpid())

    def remove(self) -> None:
        """Unlink the file, unless another socket has taken its place; raises nothing.

        A child process that has inherited the socket removes nothing.
        """
        with contextlib.suppress(OSError):
            if _File.find(self.path) == self:
                os.unlink(self.path)


class UnixListener(SocketWrapper):
    """Listens on a Unix socket.  Closing it removes its file, if that is still its own."""

    def __init__(
        self, transport_listener: trio.SocketListener, address: UnixAddress, file: _File | None
    ) -> None:
        super().__init__(transport_listener)
        self.address = address
        self._file = file

    def close_nowait(self) -> None:
        """Remove the file and close the socket."""
        # In this order: while the socket listens, no successor takes its file for an old one.
        file, self._file = self._file, None
        if file is not None:
            file.remove()
        super().close_nowait()

    def __repr__(self) -> str:
        return f"<UnixListener {self.address}>"


@trio.lowlevel.enable_ki_protection
async def open_unix_listener(
    listen: Listen, address: UnixAddress, backlog: int | None
) -> UnixListener:
    """Listen on `address`, which is that of `listen`, with the mode and owner that it names.

    A file at the path is replaced only if it is a socket to which a connect is refused.  Raises
    `OSError` that names the address and the cause.  If that is raised, or the call is cancelled,
    nothing is left behind.
    """
    await trio.lowlevel.checkpoint()
    try:
        if address.is_abstract:
            if sys.platform != "linux":
                raise OSError(errno.EAFNOSUPPORT, "abstract names exist on Linux alone")
            return _open_abstract(address, backlog)
        ids = _user_id(listen.owner), _group_id(listen.group)
        lock = await _lock(os.path.dirname(address.path) or ".")
        try:
            return _open_file(address, listen.mode, ids, backlog)
        finally:
            os.close(lock)
    except OSError as error:
        text = f"cannot listen on {address}: {error.strerror or error}"
        raise OSError(error.errno, text) from error


async def _lock(folder: str) -> int:
    """Lock `folder` against other openers; return a descriptor whose closing unlocks it.

    Without the lock, two processes that both find an old file would remove it both, and the
    second one the first one's new socket.  The lock leaves no file.
    """
    import fcntl  # noqa: PLC0415 - Windows has none

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await trio.sleep(_PAUSE)
            else:
                return descriptor
        raise OSError(errno.EBUSY, "another process holds a lock (flock) on its folder")
    except BaseException:
        os.close(descriptor)
        raise


def _open_abstract(address: UnixAddress, backlog: int | None) -> UnixListener:
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(address.sockaddr)
        return UnixListener(_listen(listening, backlog), address, None)
    except BaseException:
        listening.close()
        raise


def _open_file(
    address: UnixAddress, mode: int | None, ids: tuple[int, int], backlog: int | None
) -> UnixListener:
    path = address.path
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX)
    file: _File | None = None
    try:
        listening.bind(address.sockaddr)
        file = _File.find(path)
        if mode is not None:
            os.chmod(path, mode)
        if ids != (-1, -1):
            os.chown(path, *ids, follow_symlinks=False)
        return UnixListener(_listen(listening, backlog), address, file)
    except BaseException:
        if file is not None:
            file.remove()
        listening.close()
        raise


def _listen(listening: socket.socket, backlog: int | None) -> trio.SocketListener:
    listening.listen(0xFFFF if backlog is None else backlog)
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


def _remove_stale(path: str) -> None:
    """Remove the socket at `path` on which no process listens; raises `OSError` for all else."""
    try:
        kind = stat.S_IFMT(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    # A regular file refuses a connect as an old socket does: so its kind comes first.
    if kind != stat.S_IFSOCK:
        found = _KINDS.get(kind, "something else")
        raise OSError(errno.EEXIST, f"at its path is {found}, and no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(path)
    if code in _IN_USE:
        raise OSError(errno.EADDRINUSE, "a process listens there")
    if code != errno.ECONNREFUSED:
        raise OSError(code, f"whether a process listens there is not known: {os.strerror(code)}")
    os.unlink(path)


def _user_id(user: str | int | None) -> int:
    """Return the number of a user, -1 for None; raises `OSError` if there is none of that name."""
    if user is None or isinstance(user, int):
        return -1 if user is None else user
    import pwd  # noqa: PLC0415 - Windows has none

    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise OSError(errno.EINVAL, f"there is no user {user!r}") from None


def _group_id(group: str | int | None) -> int:
    """Return the number of a group, as `_user_id` that of a user."""
    if group is None or isinstance(group, int):
        return -1 if group is None else group
    import grp  # noqa: PLC0415 - Windows has none

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise OSError(errno.EINVAL, f"there is no group {group!r}") from None
