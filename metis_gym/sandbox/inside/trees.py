"""Removing folders that were filled by code nobody trusts: links are not followed, names and modes may be any."""

import contextlib
import os
import secrets
import shutil
import stat

__all__ = ["FOLDER", "empty_tree", "open_folder", "remove_tree"]

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder is opened."""
_PREFIX = "metis-sandbox-"


def remove_tree(path: str) -> None:
    """Remove a folder however deep it is, without following a link out of it."""
    empty_tree(path)
    shutil.rmtree(path, ignore_errors=True)


def empty_tree(path: str) -> None:
    """Remove everything in a folder. See `remove_tree`."""
    try:
        top = os.open(path, FOLDER)
    except FileNotFoundError:
        return
    try:
        while names := os.listdir(top):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # another host removes the same leftovers
                    _remove_entry(top, name)
    finally:
        os.close(top)


def open_folder(name: str, parent: int) -> int:
    """Open a folder, whatever its mode says; it belongs to us or to a session."""
    try:
        return os.open(name, FOLDER, dir_fd=parent)
    except PermissionError:
        handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        finally:
            os.close(handle)
        return os.open(name, FOLDER, dir_fd=parent)


def _remove_entry(top: int, name: str) -> None:
    """Remove a file, or a folder whose folders are first moved up to `top`, so that depth does not matter."""
    if not _is_folder(top, name):
        os.unlink(name, dir_fd=top)
        return
    fd = open_folder(name, top)
    try:
        for inner in os.listdir(fd):
            if _is_folder(fd, inner):
                os.rename(inner, f"{_PREFIX}{secrets.token_hex(8)}", src_dir_fd=fd, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=top)


def _is_folder(parent: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
