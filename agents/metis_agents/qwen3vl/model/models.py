"""Models by name: `tiny`, built on the spot, or any checkpoint of Qwen3-VL or Qwen2.5-VL, with or without LoRA.

LoRA goes into the language model only. The vision tower is frozen unless asked for: features of an image are then
computed once, and a group's episodes share them.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from metis_agents.chat.hf_processor import template_of
from metis_agents.qwen3vl.chat.renderer import Renderer, check_template
from metis_agents.qwen3vl.chat.vocabulary import Vocabulary
from metis_agents.qwen3vl.model.attention import use_attention
from metis_agents.qwen3vl.model.features import FeatureStore
from metis_agents.qwen3vl.model.images import ImageEncoder
from metis_agents.qwen3vl.model.network import Network
from metis_agents.qwen3vl.model.scoring import Layout, Scorer
from metis_agents.qwen3vl.model.tiny import tiny_model, tiny_tokenizer
from metis_gym.errors import ConfigError, MissingDependencyError
from metis_gym.parameters import check_parameters, choice, flag, number, whole

__all__ = [
    "TINY",
    "TORCH_DTYPES",
    "Equipment",
    "LoadedModel",
    "ModelConfig",
    "equip",
    "load_pretrained",
    "merged_weights",
    "new_tiny",
]

TINY = "tiny"

LORA_TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
"""Linear layers of the language model; "all-linear" would also hit the vision tower."""

PROCESSORS = {"qwen3_vl": "Qwen3VLProcessor", "qwen2_5_vl": "Qwen2_5_VLProcessor"}
"""Types of models that can be loaded, and transformers' processor of each."""

TORCH_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Types that weights may have, by name."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which model, and how it learns.

    Attributes:
        name: "tiny", a folder, or a checkpoint on the hub such as Qwen/Qwen3-VL-8B-Instruct.
        seed: Seed of new weights: those of the tiny model, and of LoRA.
        lora: Rank of the LoRA that is trained in the language model; none trains every weight.
        lora_alpha: Scale of LoRA, divided by its rank.
        train_vision: Train the vision tower, too.
        dtype: Type of the weights.
        device: "auto", "cpu", "cuda", "cuda:1"; "auto" is CUDA where there is any.
        temperature: Divides the logits, while acting and while learning.
        min_pixels: Smaller images are enlarged to so many pixels; none for what the checkpoint says.
        max_pixels: Larger images are reduced to so many pixels; none for what the checkpoint says.
        layout: How conversations stand in a forward pass of training; all three have the same gradient.
        gradient_checkpointing: Compute activations again in the backward pass, to save memory.
        random_weights: Take the checkpoint's configuration with new weights, for measurements.
    """

    name: str = TINY
    seed: int = whole(0, low=0)
    lora: int | None = whole(None, low=1, optional=True)
    lora_alpha: int = whole(32, low=1)
    train_vision: bool = flag(False)
    dtype: str = choice("float32", *TORCH_DTYPES)
    device: str = "auto"
    temperature: float = number(1.0, above=0)
    min_pixels: int | None = whole(None, low=1, optional=True)
    max_pixels: int | None = whole(None, low=1, optional=True)
    layout: str = choice("shared", *Layout)
    gradient_checkpointing: bool = flag(False)
    random_weights: bool = flag(False)

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.lora is not None and self.train_vision:
            raise ConfigError("Expect train_vision without LoRA, which is in the language model only; actually: both")

    @property
    def torch_device(self) -> torch.device:
        """The device; "auto" is CUDA where there is any."""
        if self.device != "auto":
            return torch.device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def compute_dtype(self) -> torch.dtype | None:
        """What passes over sharded float32 weights calculate in; None for float32 itself."""
        return None if self.dtype == "float32" else TORCH_DTYPES[self.dtype]


class LoadedModel(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        model: `Qwen3VLForConditionalGeneration`, or `Qwen2_5_VLForConditionalGeneration`.
        tokenizer: Its tokenizer.
        images: How it takes images.
    """

    model: Any
    tokenizer: Any
    images: ImageEncoder

    def save_pretrained(self, folder: str | Path) -> None:
        """Write everything in transformers' own form."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        self.images.save_pretrained(folder)


@dataclass(frozen=True, kw_only=True, eq=False)
class Equipment:
    """A model, ready to act and to learn.

    Attributes:
        model: `Qwen3VLForConditionalGeneration`, with LoRA layers in it where asked for.
        adapter: The PEFT model around it; None without LoRA.
        tokenizer: Its tokenizer.
        network: The model with what goes with it.
        renderer: Conversations → tokens.
        features: Features of images, kept.
        scorer: The forward pass of training.
    """

    model: Any
    adapter: Any | None
    tokenizer: Any
    network: Network
    renderer: Renderer
    features: FeatureStore
    scorer: Scorer

    def save_adapter(self, folder: str | Path, whole: Any | None = None) -> None:
        """Write LoRA alone, in PEFT's form; nothing without LoRA.

        Args:
            folder: Where to.
            whole: A copy that holds the weights, where this model's own are spread over ranks.
        """
        if self.adapter is not None:
            source = self.model if whole is None else whole
            state = {f"base_model.model.{name}": parameter for name, parameter in source.named_parameters()}
            self.adapter.save_pretrained(folder, state_dict=state)

    def save_pretrained(self, folder: str | Path, whole: Any | None = None) -> None:
        """Write model, tokenizer and image processor as a checkpoint of the hub; LoRA is merged into the weights.

        Args:
            folder: Where to.
            whole: A copy that holds the weights, where this model's own are spread over ranks.
        """
        source = self.model if whole is None else whole
        source.save_pretrained(folder, state_dict=_without_lora(source))
        self.tokenizer.save_pretrained(folder)
        self.network.encoder.save_pretrained(folder)


def new_tiny(texts: Iterable[str], config: ModelConfig) -> LoadedModel:
    """The tiny model and its tokenizer, which writes `texts` with few tokens."""
    tokenizer = tiny_tokenizer(texts)
    images = ImageEncoder(
        min_pixels=config.min_pixels or ImageEncoder.min_pixels,
        max_pixels=config.max_pixels or ImageEncoder.max_pixels,
    )
    return LoadedModel(tiny_model(tokenizer, config.seed), tokenizer, images)


def load_pretrained(config: ModelConfig) -> LoadedModel:
    """A checkpoint's model and tokenizer, and how it takes images.

    Raises:
        ConfigError: There is none of that name, it is of another family, its chat template writes another form, as that
            of thinking checkpoints does, or it does not say how it takes images.
    """
    import transformers

    library: Any = transformers  # as untyped as it is
    try:
        declared = library.AutoConfig.from_pretrained(config.name, trust_remote_code=False)
        tokenizer = library.AutoTokenizer.from_pretrained(config.name, trust_remote_code=False)
        template = template_of(config.name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot load model {config.name!r}: {error}") from error
    if declared.model_type not in PROCESSORS:
        raise ConfigError(
            f"Expect a model of type 'qwen3_vl' or 'qwen2_5_vl', which sees images, actually: {declared.model_type!r} "
            f"in {config.name!r}"
        )
    if "sliding_attention" in (getattr(declared.text_config, "layer_types", None) or ()):
        raise ConfigError(f"Expect a model whose layers attend to everything before; those of {config.name!r} do not")
    check_template(tokenizer)
    check_template(tokenizer, template)
    images = ImageEncoder.load(config.name, min_pixels=config.min_pixels, max_pixels=config.max_pixels)
    images = dataclasses.replace(images, processor=PROCESSORS[declared.model_type])
    kind = library.AutoModelForImageTextToText
    dtype = TORCH_DTYPES[config.dtype]
    if config.random_weights:
        with torch.device(config.torch_device), torch.random.fork_rng():
            torch.manual_seed(config.seed)
            return LoadedModel(kind.from_config(declared, dtype=dtype), tokenizer, images)
    try:
        model = kind.from_pretrained(  # straight to where it stays
            config.name, dtype=dtype, use_safetensors=True, device_map={"": config.torch_device}
        )
    except OSError as error:
        raise ConfigError(f"cannot load the weights of {config.name!r} as safetensors: {error}") from error
    return LoadedModel(model, tokenizer, images)


def equip(loaded: LoadedModel, config: ModelConfig, stop: Sequence[str] = ()) -> Equipment:
    """Make a model ready.

    Args:
        loaded: The model, its tokenizer and image encoder; LoRA layers are put into the model where asked for.
        config: How it is to learn.
        stop: The dialect's stop strings.

    Raises:
        ConfigError: The tokenizer lacks a token, or writes another chat form; images are cut into other patches than
            the model takes.
    """
    model, tokenizer, encoder = loaded
    check_template(tokenizer)
    encoder.check(model.config.vision_config)
    vocabulary = Vocabulary.of(tokenizer, model.config.text_config.vocab_size, stop)
    model.to(config.torch_device)
    use_attention(model)
    model.requires_grad_(True)
    model.model.visual.requires_grad_(config.train_vision)
    adapter = None if config.lora is None else _with_lora(model, config)
    model.eval()
    if config.gradient_checkpointing:
        recompute_activations(model)
    network = Network(model, encoder, vocabulary, temperature=config.temperature)
    features = FeatureStore(network, is_frozen=not config.train_vision)
    scorer = Scorer(network, layout=Layout(config.layout), features=None if config.train_vision else features)
    return Equipment(
        model=model,
        adapter=adapter,
        tokenizer=tokenizer,
        network=network,
        renderer=Renderer(tokenizer, encoder, vocabulary),
        features=features,
        scorer=scorer,
    )


def recompute_activations(model: Any) -> None:
    """Let each layer keep no more than its input for the backward pass, and compute the rest again there.

    transformers' own switch makes layers in training mode drop every cache in silence: rollouts would no longer see
    their conversation, and prompts could not be shared. Here the layers stay as they are, and only passes that need
    gradients compute twice.
    """
    for block in (*model.model.language_model.layers, *model.model.visual.blocks):
        if not isinstance(block.forward, functools.partial):  # a model may be equipped twice
            block.forward = functools.partial(_computed_again, block.forward)


def _computed_again(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


def _with_lora(model: Any, config: ModelConfig) -> Any:
    """Put LoRA layers into the language model and freeze everything else."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingDependencyError.of("peft", "agents", "LoRA") from error
    assert config.lora is not None
    lora = LoraConfig(r=config.lora, lora_alpha=config.lora_alpha, target_modules=LORA_TARGETS, bias="none")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)  # peft's own
        torch.manual_seed(config.seed)
        # In the model's own type: in float32 a fortieth of the FLOPs would take two fifths of the time. What the steps
        # would lose to rounding is kept by the optimiser's float32 masters.
        return get_peft_model(model, lora, autocast_adapter_dtype=False)


def _without_lora(model: Any) -> dict[str, Tensor]:
    """The state of a model as if it had never had LoRA layers, with LoRA added in."""
    plain = {
        name.replace(".base_layer.", "."): value for name, value in model.state_dict().items() if "lora_" not in name
    }
    return {**plain, **{name: weight for name, weight in merged_weights(model) if name in plain}}


@torch.no_grad()
def merged_weights(model: Any, names: Collection[str] | None = None) -> Iterator[tuple[str, Tensor]]:
    """Weights in their own type, by the names they have in a checkpoint, with LoRA added in.

    Args:
        model: The model.
        names: Parameters to give besides those that have LoRA layers; None for all.

    Yields:
        Name and weight, one after the other, in the order of the model's layers: sums with LoRA are made when they are
        asked for.
    """
    for name, module in model.named_modules():
        if hasattr(module, "get_delta_weight"):
            weight = module.get_base_layer().weight
            yield f"{name}.weight", (weight + module.get_delta_weight("default")).to(weight.dtype)
    for name, parameter in model.named_parameters():
        is_merged = "lora_" in name or name.endswith(".base_layer.weight")
        if not is_merged and (names is None or name in names):
            yield name.replace(".base_layer.", "."), parameter.detach()
