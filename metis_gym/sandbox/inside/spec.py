"""What the host tells the zygote and its sessions: plain records that travel as JSON, from the trusted side only."""

import json
from dataclasses import asdict, dataclass, field

__all__ = ["LANDLOCK", "NAMESPACE", "STOP", "UNSAFE", "SessionLimits", "SessionSpec", "ZygoteSpec"]

NAMESPACE, LANDLOCK, UNSAFE = "namespace", "landlock", "unsafe"
STOP = b"stop"
"""The host's last word to a zygote. When there is none, the host has died."""


@dataclass(frozen=True, kw_only=True)
class ZygoteSpec:
    """How a zygote isolates its sessions.

    Attributes:
        tier: `namespace`, `landlock` or `unsafe`.
        import_path: Folders that modules are imported from.
        binds: Files and folders of the view, real paths, parents first.
        covers: Folders that an empty one hides, real paths.
        links: Symbolic links of the view, path → target.
        readable: What Landlock lets the sessions read: the same view, spelled out without the covered folders.
        listable: Folders whose names may be listed, for Python's importer.
        devices: Device nodes.
        folder: Where the sessions' folders are made; empty for the namespace tier, which has file systems of its own.
        own_folder: A folder for the zygote itself, in `folder` or `folder` itself; empty for the namespace tier.
        font_folder: A data folder whose `fonts` Pillow searches.
        first_user: The first of the user ids that sessions get; 0 keeps the host's.
        users: How many there are.
        own_user_namespace: The host may not make namespaces otherwise.
        keep_file_user: Sessions with an id of their own open files as the host's user, who alone can read the
            interpreter.
        watch_threads: Count threads by asking the host, because the kernel would count all of the user's.
        environment: Further environment variables of the sessions.
    """

    tier: str
    import_path: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    readable: tuple[str, ...] = ()
    listable: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    folder: str = ""
    own_folder: str = ""
    font_folder: str = ""
    first_user: int = 0
    users: int = 0
    own_user_namespace: bool = False
    keep_file_user: bool = False
    watch_threads: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ZygoteSpec":
        """The inverse of `to_json`."""
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class SessionLimits:
    """The limits that are enforced from inside; the names are those of the public `SandboxLimits`."""

    seconds: float
    cpu_seconds: float
    memory_bytes: int
    disk_bytes: int
    processes: int
    output_bytes: int
    images: int
    image_pixels: int


@dataclass(frozen=True, kw_only=True)
class SessionSpec:
    """One session. Descriptors are sent along: the payload, which holds the bytes of the files, and a block of images.

    Attributes:
        number: Which session of this zygote; chooses its user.
        folder: Where it is to make its folder; empty for the namespace tier.
        seed: For `random` and numpy.
        limits: What it may use.
        images: Width and height of each image of the block; without any, no block is sent.
        files: Name and length of each file.
    """

    number: int
    seed: int
    limits: SessionLimits
    folder: str = ""
    images: tuple[tuple[int, int], ...] = ()
    files: tuple[tuple[str, int], ...] = ()

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "SessionSpec":
        """The inverse of `to_json`."""
        fields = json.loads(text)
        return cls(
            number=fields["number"],
            seed=fields["seed"],
            limits=SessionLimits(**fields["limits"]),
            folder=fields["folder"],
            images=tuple((width, height) for width, height in fields["images"]),
            files=tuple((name, length) for name, length in fields["files"]),
        )
