"""Disks that SQLite can use only in part, made from SQLite's own access to files.

The functions replace SQLite's default VFS (https://www.sqlite.org/vfs.html) in this process, so
they are called in a process of their own.
"""

from __future__ import annotations

import _sqlite3
import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int, c_void_p
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAP = ctypes.CFUNCTYPE(c_int, c_void_p, c_int, c_int, c_int, c_void_p)
LOCK = ctypes.CFUNCTYPE(c_int, c_void_p, c_int)
# SQLite keeps the address of the name, so Python must not copy the name.
OPEN = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)


class IoMethods(Structure):
    """SQLite's struct sqlite3_io_methods, version 3."""

    _fields_ = (
        ("version", c_int),
        ("close_to_sync", c_void_p * 5),
        ("file_size", c_void_p),
        ("lock", c_void_p),
        ("unlock_to_device", c_void_p * 5),
        ("shm_map", c_void_p),
        ("shm_lock_to_unfetch", c_void_p * 5),
    )


class Vfs(Structure):
    """The first fields of SQLite's struct sqlite3_vfs, version 3."""

    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("path_bytes", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("others", c_void_p * 15),
    )


SQLITE = ctypes.CDLL(_sqlite3.__file__)  # this library is linked to that of SQLite
SQLITE.sqlite3_vfs_find.restype = POINTER(Vfs)
SQLITE.sqlite3_vfs_register.argtypes = (POINTER(Vfs), c_int)
KEPT: list[object] = []  # SQLite uses these objects until the process ends


def without_shared_memory() -> None:
    """Files have no methods for shared memory, so a new file cannot be in WAL mode."""
    _change(lambda methods: setattr(methods, "version", 1))


def failing(shared_memory: int = 0, locks: int = 0) -> None:
    """Mapping shared memory or locking a file fails with these error codes."""

    def change(methods: IoMethods) -> None:
        for name, kind, code in (("shm_map", MAP, shared_memory), ("lock", LOCK, locks)):
            if code:
                function = kind(lambda *_, code=code: code)
                KEPT.append(function)
                setattr(methods, name, ctypes.cast(function, c_void_p))

    _change(change)


def _change(change: Callable[[IoMethods], None]) -> None:
    system = SQLITE.sqlite3_vfs_find(None).contents
    vfs = Vfs.from_buffer_copy(system)
    open_file = ctypes.cast(system.open, OPEN)
    changed: dict[int, IoMethods] = {}

    def open_changed(this: int, name: int, file: int, flags: int, out: int) -> int:
        code: int = open_file(this, name, file, flags, out)
        place = c_void_p.from_address(file)  # a file begins with the address of its methods
        if code == 0 and place.value:
            if place.value not in changed:
                methods = IoMethods.from_buffer_copy(IoMethods.from_address(place.value))
                change(methods)
                changed[place.value] = methods
            place.value = ctypes.addressof(changed[place.value])
        return code

    function = OPEN(open_changed)
    vfs.open = ctypes.cast(function, c_void_p)
    vfs.name = b"changed"
    KEPT.extend((vfs, function, changed))
    SQLITE.sqlite3_vfs_register(ctypes.byref(vfs), 1)
