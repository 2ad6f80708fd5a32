"""What a zygote of a given tier is told, worked out from this machine, this Python and this user."""

import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from metis_gym.sandbox.folders import Folders
from metis_gym.sandbox.inside.privileges import CAN_ADMINISTER, CAN_SET_GROUP, CAN_SET_USER, holds
from metis_gym.sandbox.inside.spec import LANDLOCK, NAMESPACE, ZygoteSpec
from metis_gym.sandbox.process import ENVIRONMENT
from metis_gym.sandbox.view import DEVICES, View, build_view

__all__ = ["make_spec", "own_users"]

_FIRST_USER = 1_900_000_000
_USERS = 1 << 16
_RANGES = 1000
_NOBODY = 65534
_FEW_USERS = 4096


def make_spec(tier: str, folders: Folders | None, packages: Sequence[str]) -> ZygoteSpec:
    """Work out the spec.

    Args:
        tier: `namespace`, `landlock` or `unsafe`.
        folders: Where the sessions' folders are to be made; None for `namespace`.
        packages: Import names that code inside may use.
    """
    folder, own_folder = (folders.path, folders.own) if folders else ("", "")
    view = build_view(packages, also_hidden=[folder] if folder else [])
    needed = (CAN_SET_USER, CAN_SET_GROUP) + ((CAN_ADMINISTER,) if tier == NAMESPACE else ())
    is_privileged = os.geteuid() == 0 and holds(*needed)
    first_user, users = own_users(secrets.randbelow(_RANGES)) if is_privileged and tier != "unsafe" else (0, 0)
    return ZygoteSpec(
        tier=tier,
        import_path=view.import_path,
        binds=view.binds(),
        covers=view.covers(),
        links=view.links,
        readable=view.readable() if tier == LANDLOCK else (),
        listable=view.listable() if tier == LANDLOCK else (),
        devices=tuple(filter(os.path.exists, DEVICES)),
        folder=folder,
        own_folder=own_folder,
        font_folder=view.font_folder,
        own_user_namespace=tier == NAMESPACE and not is_privileged,
        first_user=first_user,
        users=users,
        keep_file_user=bool(users) and not _others_can_read(view, whole_paths=tier != NAMESPACE),
        watch_threads=tier == LANDLOCK and not users,
        environment=ENVIRONMENT,
    )


def own_users(choice: int, mapped: str | None = None) -> tuple[int, int]:
    """The first of the user ids that sessions get, and how many there are.

    Sessions of several hosts on one machine should not meet, so each host takes one of many ranges.

    Args:
        choice: Which range.
        mapped: The content of `/proc/self/uid_map`; a container may have few ids.

    >>> own_users(0, "0 0 4294967295")
    (1900000000, 65536)
    >>> own_users(0, "0 100000 65536")
    (61438, 4096)
    """
    text = Path("/proc/self/uid_map").read_text(encoding="ascii") if mapped is None else mapped
    extents = [(int(first), int(count)) for first, _, count in (line.split() for line in text.splitlines())]
    wanted = _FIRST_USER + choice * _USERS
    if any(first <= wanted and wanted + _USERS <= first + count for first, count in extents):
        return wanted, _USERS
    first, count = max(extents, key=lambda extent: extent[1])
    end = min(first + count, _NOBODY) if first < _NOBODY < first + count else first + count
    users = min(_FEW_USERS, max(1, count // 2))
    return end - users, users


def _others_can_read(view: View, *, whole_paths: bool) -> bool:
    """Whether a user without a name can read the view, given that its parents are shown as they are (whole paths)."""
    return all(_is_open(path) for path in view.binds()) and (
        not whole_paths or all(_is_passable(parent) for path in view.binds() for parent in Path(path).parents)
    )


def _is_open(path: str) -> bool:
    mode = os.stat(path).st_mode
    return bool(mode & stat.S_IROTH) and (not stat.S_ISDIR(mode) or bool(mode & stat.S_IXOTH))


def _is_passable(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)
