"""The backend `docker`: its flags, its errors, its clearing up. Skipped, with the reason, where no engine runs."""

import gc
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from metis_gym.errors import ConfigError, MissingDependencyError, SandboxError, SandboxUnavailableError
from metis_gym.sandbox import SandboxLimits, SharedImages
from metis_gym.sandbox import command as commands
from metis_gym.sandbox.containers import engine
from metis_gym.sandbox.containers.backend import DockerBackend
from metis_gym.sandbox.containers.build import find_context
from metis_gym.sandbox.containers.profile import seccomp_profile
from tests.sandbox.events import wait_until

_REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def client():
    try:
        connected = engine.connect()
    except (MissingDependencyError, SandboxUnavailableError) as error:
        pytest.skip(str(error))
    yield connected
    connected.close()


@pytest.fixture
def docker_backend(client):
    backend = DockerBackend(containers=2, grace=0.2, limits=engine.ContainerLimits(memory_bytes=1 << 30, cpus=1.5))
    try:
        backend.start()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    yield backend
    backend.close()


def our_containers(client):
    return client.api.containers(all=True, filters={"label": engine.LABEL})


@pytest.fixture
def one_container(client):
    backend = DockerBackend(containers=1, grace=0.2)
    try:
        backend.start()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    yield backend
    backend.close()


def test_images_are_kept_in_a_container_for_as_long_as_they_are_used(one_container):
    image = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
    shared = SharedImages([image])
    first, again = (one_container.open(images=shared) for _ in range(2))
    container = one_container._containers[0]
    assert len(container._kept) == 1
    assert all(np.array_equal(session.run("image_1").images[0], image) for session in (first, again))
    del shared
    gc.collect()
    assert not container._kept
    other = one_container.open(images=[image[::-1]])  # before which those are dropped
    assert np.array_equal(other.run("image_1").images[0], image[::-1])
    assert np.array_equal(first.run("image_1").images[0], image)  # a session keeps what it has mapped
    for session in (first, again, other):
        session.close()


def test_the_flags_of_a_container(client, docker_backend):
    described = client.api.inspect_container(docker_backend._containers[0]._id)
    host, config = described["HostConfig"], described["Config"]
    assert host["NetworkMode"] == "none"
    assert host["IpcMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert not host["Binds"]
    assert not described["Mounts"]
    assert host["LogConfig"]["Type"] == "none"
    assert host["Memory"] == host["MemorySwap"] == 1 << 30
    assert host["NanoCpus"] == 1_500_000_000
    assert host["PidsLimit"] == 2048
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert any(option.startswith("seccomp={") for option in host["SecurityOpt"])
    places = {f"{engine.SESSIONS}/{number:04d}" for number in range(129)}  # one for each session, one for the zygote
    assert set(host["Tmpfs"]) == {"/tmp"} | places
    for place, flags in host["Tmpfs"].items():
        assert all(flag in flags for flag in ("noexec", "nosuid", "nodev", "size="))
        assert place == "/tmp" or all(flag in flags for flag in ("nr_inodes=", "mode=0700", "uid=65533"))
    assert config["User"] == "65533:65533"
    assert config["StdinOnce"] is True  # so that it ends with its host
    assert not any("METIS" in variable for variable in config["Env"])


def test_the_profile_permits_no_way_out():
    names = set(seccomp_profile()["syscalls"][0]["names"])
    assert seccomp_profile()["defaultAction"] == "SCMP_ACT_ERRNO"
    never = (
        "mount umount2 ptrace setns unshare bpf keyctl add_key io_uring_setup socket connect process_vm_readv chroot"
    )
    assert names.isdisjoint(never.split())


def test_sessions_are_spread_over_containers(docker_backend):
    sessions = [docker_backend.open() for _ in range(4)]
    assert sorted(container.sessions for container in docker_backend._containers) == [2, 2]
    for session in sessions:
        session.close()
    assert sorted(container.sessions for container in docker_backend._containers) == [0, 0]


def test_more_sessions_than_there_are_places_are_refused(client):
    backend = DockerBackend(containers=1, sessions=1, grace=0.2)
    try:
        first = backend.open()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    with pytest.raises(SandboxError, match="all 1 containers have 1 sessions"):
        backend.open()
    first.close()
    backend.open().close()
    backend.close()


def test_a_container_that_dies_is_an_infrastructure_error_and_is_replaced(client, docker_backend):
    session = docker_backend.open()
    client.api.kill(docker_backend._containers[0]._id)
    with pytest.raises(SandboxError, match="container"):
        session.run("import time\ntime.sleep(5)")
    session.close()
    following = docker_backend.open()
    assert following.run("6 * 7").result_text == "42"
    following.close()


def test_closing_removes_the_containers(client, docker_backend):
    docker_backend.open().close()
    mine = [container._id for container in docker_backend._containers]
    docker_backend.close()
    assert not {container["Id"] for container in our_containers(client)}.intersection(mine)


HOG = """
import ctypes, os
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
for number in range(400):
    fd = os.open(f'f{number}', os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(6 << 20))
    libc.mmap(None, ctypes.c_size_t(4096), 1, 1, fd, ctypes.c_size_t(0))
    os.unlink(f'f{number}')
    os.close(fd)
"""


def test_no_session_takes_the_disk_of_another(docker_backend):
    """However one holds what it wrote: the others, and the ones opened afterwards, have all of their own."""
    hogs = [docker_backend.open() for _ in range(2)]
    other = docker_backend.open()
    for hog in hogs:
        assert hog.run(HOG).status.value in ("error", "killed")
    following = docker_backend.open(files={"given": bytes(1 << 20)})
    for session in (other, following):
        assert session.run("open('a', 'wb').write(bytes(60 << 20))").result_text == str(60 << 20)
    for session in (*hogs, other, following):
        session.close()


def test_places_are_used_again(client):
    backend = DockerBackend(containers=1, sessions=2, grace=0.2)
    try:
        backend.start()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    for _ in range(6):
        session = backend.open()
        assert session.run("open('a', 'wb').write(bytes(60 << 20))").result_text == str(60 << 20)
        session.close()
    backend.close()


def test_more_disk_than_a_container_gives_is_refused(docker_backend):
    with pytest.raises(ConfigError, match=r"disk_bytes = 134217728 is more than ContainerLimits.disk_bytes = 67108864"):
        docker_backend.open(limits=SandboxLimits(disk_bytes=128 << 20))


HOST = """
import sys
from metis_gym.sandbox.containers.backend import DockerBackend
backend = DockerBackend(containers=1)
backend.open().run("x = 1")
print(backend._containers[0]._id, flush=True)
sys.stdin.read()
"""


def test_when_the_host_is_killed_its_container_ends(client, docker_backend):
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOST], **pipes, text=True, env=environment) as host:
        identity = host.stdout.readline().strip()
        assert identity in {container["Id"] for container in our_containers(client)}
        host.kill()
    wait_until(lambda: identity not in {container["Id"] for container in our_containers(client)})


def test_leftovers_are_found_by_their_label(client, docker_backend, monkeypatch):
    dead = f"{engine._boot()} 4194000 123"
    monkeypatch.setattr(engine, "_identity", lambda: dead)
    left = engine.create(client, engine.IMAGE, ["python3"], engine.ContainerLimits(memory_bytes=64 << 20), None)
    monkeypatch.undo()
    living = docker_backend._containers[0]._id
    assert engine.remove_leftovers(client) >= 1
    remaining = {container["Id"] for container in our_containers(client)}
    assert left not in remaining
    assert living in remaining


def test_an_absent_image_names_the_command_to_build_it(client):
    backend = DockerBackend(image="metis-gym-no-such-image:0")
    with pytest.raises(SandboxUnavailableError, match=r"is absent. Build it with: metis-gym sandbox build"):
        backend.open()
    backend.close()


def test_an_unknown_runtime_is_explained(client, docker_backend):
    backend = DockerBackend(runtime="no-such-runtime")
    with pytest.raises(SandboxUnavailableError, match=r"Docker engine .* the sandbox's container"):
        backend.open()
    backend.close()


def test_an_absent_engine_is_explained(monkeypatch, tmp_path):
    pytest.importorskip("docker")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(SandboxUnavailableError, match=r"the Docker engine does not answer .* Start it"):
        DockerBackend().open()
    gc.collect()  # a socket left open would be a warning now, and so an error


@pytest.fixture
def open_folder():
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, which is closed to other users
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_a_forbidden_engine_is_explained(open_folder):
    pytest.importorskip("docker")
    if os.geteuid() != 0:
        pytest.skip("needs root, to become a user who may not use a socket")
    path = open_folder / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        code = (
            "import os\nfrom metis_gym.sandbox.containers import engine\nimport docker\n"
            "os.setresuid(54321, 54321, 54321)\n"
            "try:\n    engine.connect()\nexcept Exception as error:\n    print(error)"
        )
        said = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(_REPOSITORY), "DOCKER_HOST": f"unix://{path}"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert "the Docker engine may not be used by this user" in said.stdout, said.stderr
    assert "group docker" in said.stdout


def test_an_absent_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'metis-gym\[docker\]'"):
        engine.connect()


@pytest.mark.parametrize("wrong", [{"containers": 0}, {"sessions": -1}])
def test_numbers_have_to_be_positive(wrong):
    with pytest.raises(ConfigError, match="must be at least 1"):
        DockerBackend(**wrong)


def test_the_image_is_described_where_the_repository_says(capsys, tmp_path):
    assert find_context().name == "python"
    with pytest.raises(ConfigError, match=r"has no Dockerfile and no requirements.txt"):
        find_context(str(tmp_path))
    assert commands.main(["build", "--context", str(tmp_path)]) == 1
    assert "no Dockerfile" in capsys.readouterr().err


def test_the_images_libraries_are_pinned():
    lines = (find_context() / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in lines if not line.startswith("#"))
