"""Images: the one decoder of image files for the whole project, and what is done to decoded images."""

from metis_gym.images.containers import FORMATS
from metis_gym.images.decoder import (
    MAX_DECODED_PIXELS,
    MAX_FILE_BYTES,
    decode,
    decode_file,
    path_below,
    read_regular_file,
)

__all__ = [
    "FORMATS",
    "MAX_DECODED_PIXELS",
    "MAX_FILE_BYTES",
    "decode",
    "decode_file",
    "path_below",
    "read_regular_file",
]
