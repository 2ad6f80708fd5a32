"""The `docker` backend: hardened containers, each of which runs a zygote of its own."""
