"""What runs on the other side of the wall: the zygote and its sessions.

The package is started as a top-level `inside`, in a process with a clean environment, before the walls go up. So it
imports the standard library and itself only: never `metis_gym`, which must not be readable from inside.
"""
