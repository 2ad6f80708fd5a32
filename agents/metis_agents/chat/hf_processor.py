"""Processors of checkpoints, also where torchvision is missing, or is not one for the torch that is installed.

`AutoProcessor` refuses to load a processor whose video part needs torchvision. Videos are not used here: the processor
is then put together of its tokenizer, its image processor (the Pillow one) and its chat template.
"""

import importlib
import json
from pathlib import Path
from typing import Any

from metis_gym.errors import ConfigError

__all__ = ["load_processor", "template_of"]

_SETTINGS = ("processor_config.json", "preprocessor_config.json")
_TEMPLATES = ("chat_template.jinja", "chat_template.json")


def load_processor(name: str, revision: str | None = None) -> Any:
    """The processor of a checkpoint, whose tokenizer treats special tokens in texts, and only these, as plain text.

    Args:
        name: A folder, or a name on the hub.
        revision: On the hub.

    Raises:
        ConfigError: It has no chat template, or no processor of images.
        OSError: There is no such checkpoint.
    """
    if _has_torchvision():
        import transformers

        library: Any = transformers  # as untyped as it is
        processor = library.AutoProcessor.from_pretrained(name, revision=revision)
    else:
        processor = _without_videos(name, revision)
    if not hasattr(processor, "image_processor"):
        raise ConfigError(f"hf: {name!r} takes no images: {type(processor).__name__} has no image processor")
    if not processor.chat_template:
        raise ConfigError(f"hf: {name!r} has no chat template")
    # What a template writes besides special tokens, such as <think>, models write as well: it stays one token.
    processor.tokenizer.chat_control_tokens = [processor.image_token, processor.video_token]
    return processor


def _has_torchvision() -> bool:
    """Whether torchvision can be imported: one built for CUDA cannot, beside a torch for CPUs."""
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError):
        return False
    return True


def _without_videos(name: str, revision: str | None) -> Any:
    import transformers

    library: Any = transformers  # as untyped as it is

    config = library.AutoConfig.from_pretrained(name, revision=revision)
    tokenizer = library.AutoTokenizer.from_pretrained(name, revision=revision)
    images = library.AutoImageProcessor.from_pretrained(name, revision=revision, backend="pil")
    kind = _processor_class(config.model_type)
    settings = _settings(name, revision)
    known = ("num_image_tokens", "vision_feature_select_strategy", "image_token", "video_token", "vision_aspect_ratio")
    options = {key: settings[key] for key in known if key in settings}
    template = template_of(name, revision) or tokenizer.chat_template
    return kind(images, tokenizer, None, chat_template=template, **options)


def _processor_class(model_type: str) -> Any:
    """The processor's class, made to do without a video processor."""
    import transformers
    from transformers.models.auto import processing_auto

    names: Any = processing_auto
    found = names.PROCESSOR_MAPPING_NAMES.get(model_type)
    name = found[-1] if isinstance(found, tuple) else found
    base = getattr(transformers, str(name), None)
    if base is None:
        raise ConfigError(f"hf: transformers {transformers.__version__} has no processor for {model_type!r}")

    def check(_: Any, name: str, argument: Any) -> Any:
        return type(None) if name == "video_processor" else base.check_argument_for_proper_class(_, name, argument)

    return type(base.__name__, (base,), {"check_argument_for_proper_class": check})


def _settings(name: str, revision: str | None) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for file in reversed(_SETTINGS):
        path = _file(name, file, revision)
        if path is not None:
            settings |= json.loads(path.read_text(encoding="utf-8"))
    return settings


def template_of(name: str, revision: str | None = None) -> str | None:
    """The chat template that stands in a file of its own; None where there is no such file."""
    for file in _TEMPLATES:
        path = _file(name, file, revision)
        if path is not None:
            text = path.read_text(encoding="utf-8")
            return str(json.loads(text)["chat_template"]) if file.endswith(".json") else text
    return None


def _file(name: str, file: str, revision: str | None) -> Path | None:
    """A file of a checkpoint, in a folder or of the hub; None if it has none of this name."""
    from transformers import utils

    hub: Any = utils
    found = hub.cached_file(
        name,
        file,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if found is None else Path(found)
