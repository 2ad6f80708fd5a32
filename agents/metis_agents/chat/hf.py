"""`hf:`: a checkpoint of transformers in this process, with its processor's own chat template.

The whole conversation is read again at each turn, one conversation at a time: the plain reference for small runs. For
many episodes serve the checkpoint and use `openai:`, or `qwen3vl:` for the Qwen3-VL family.
"""

import contextlib
import inspect
import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from metis_agents.chat.agent import NATIVE, ChatAgent
from metis_agents.chat.client import Completion, ContextOverflowError
from metis_agents.chat.messages import Conversation
from metis_agents.chat.usage import Usage
from metis_gym.dialects.contract import Dialect
from metis_gym.errors import ConfigError, MissingDependencyError

__all__ = ["HubAgent"]

_INVISIBLE = "\u200c"  # zero width non-joiner


class HubAgent(ChatAgent):
    """Any image-text-to-text model of transformers.

    Args:
        model: A folder, or a name on the hub.
        revision: Branch, tag or commit on the hub.
        dtype: "bfloat16", "float16" or "float32".
        device_map: "auto" for what there is, or "cpu", "cuda", "cuda:1".
        attn_implementation: "sdpa", "eager" or "flash_attention_2".
        max_new_tokens: Most tokens of a turn.
        temperature: Of sampling; 0 takes the likeliest tokens.
        label: Names its rows in tables; the model's name if none.

    Raises:
        ConfigError: There is no such model, or it cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        dtype: str = "bfloat16",
        device_map: str = "auto",
        attn_implementation: str = "sdpa",
        max_new_tokens: int = 4096,
        temperature: float = 0.0,
        label: str | None = None,
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in ("self", "label", "__class__")}
        if not isinstance(max_new_tokens, int) or max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens must be at least 1, actually: {max_new_tokens!r}")
        if not temperature >= 0:
            raise ConfigError(f"temperature must be at least 0, actually: {temperature!r}")
        self._arguments = {**given, "label": label}
        self._max_new_tokens, self._temperature = max_new_tokens, float(temperature)
        self._loading = {"revision": revision, "attn_implementation": attn_implementation}
        self._placing = {"dtype": dtype, "device_map": device_map}
        self._loaded = _Loaded()
        super().__init__(label or str(model).rstrip("/").rpartition("/")[2], given)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy loads the model anew."""
        return _make, (type(self), self._arguments)

    def prepare(self, dialect: Dialect) -> None:
        """Learn what the environment expects."""
        if dialect.name == NATIVE:
            raise ConfigError("hf: calls tools in text; choose a dialect of text, such as qwen, or openai: for native")
        super().prepare(dialect)

    def complete(self, conversation: Conversation, seed: int) -> Completion:
        """Generate the next turn."""
        import torch

        loaded = self._loaded
        with loaded.lock:
            loaded.load(str(self.settings["model"]), self._loading, self._placing)
            inputs = loaded.encoded(conversation)
            read = int(inputs["input_ids"].shape[1])
            room = loaded.context - read
            if room < 1:
                raise ContextOverflowError(f"{read} tokens, and the model takes {loaded.context}")
            with torch.inference_mode(), _seeded(seed):
                ids = loaded.model.generate(**inputs, **self._sampling(min(room, self._max_new_tokens)))[0, read:]
        written = len(ids)
        was_cut = written >= self._max_new_tokens and int(ids[-1]) not in loaded.ends
        text = str(loaded.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
        return Completion(
            message={"role": "assistant", "content": text},
            finish_reason="length" if was_cut and not text.endswith(self._stops or "\0") else "stop",
            stop="",
            usage=Usage(requests=1, prompt_tokens=read, completion_tokens=written),
        )

    def _sampling(self, tokens: int) -> dict[str, Any]:
        how: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if self._temperature > 0:
            how = {"do_sample": True, "temperature": self._temperature}
        if self._stops:
            how |= {"stop_strings": list(self._stops), "tokenizer": self._loaded.tokenizer}
        return {**how, "max_new_tokens": tokens}


class _Loaded:
    """A model and its processor, shared by clones, loaded at the first turn."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.model: Any = None

    def load(self, name: str, loading: Mapping[str, Any], placing: Mapping[str, Any]) -> None:
        if self.model is not None:
            return
        try:
            import torch
            from transformers import AutoModelForImageTextToText
        except ImportError as error:
            raise MissingDependencyError.of("transformers", "agents", "hf:") from error
        from metis_agents.chat.hf_processor import load_processor

        dtype = getattr(torch, str(placing["dtype"]), None)
        if not isinstance(dtype, torch.dtype):
            raise ConfigError(f"dtype must be bfloat16, float16 or float32, actually: {placing['dtype']!r}")
        try:
            self.processor = load_processor(name, loading["revision"])
            model: Any = AutoModelForImageTextToText.from_pretrained(name, **loading, **{**placing, "dtype": dtype})
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"hf: cannot load {name!r}: {error}") from error
        self.tokenizer = self.processor.tokenizer
        text_config = model.config.get_text_config()
        self.context = int(getattr(text_config, "max_position_embeddings", None) or 1 << 30)
        ends = model.generation_config.eos_token_id
        ends = self.tokenizer.eos_token_id if ends is None else ends
        self.ends = frozenset(ends if isinstance(ends, list) else [ends])
        model.generation_config.eos_token_id = sorted(self.ends)
        model.generation_config.pad_token_id = self.tokenizer.pad_token_id
        self.model = model.eval()

    def encoded(self, conversation: Conversation) -> Mapping[str, Any]:
        """The conversation as the model takes it, in the processor's own template.

        Control tokens that stand in texts, such as an `<|im_end|>` that a tool printed, are encoded as plain text: by
        transformers where it can do that (from 5.23 on), otherwise by an invisible character inside of them.
        """
        messages, options = _hub_messages(conversation.messages), {"sanitize_control_tokens": True}
        if not options.keys() <= inspect.signature(self.processor.apply_chat_template).parameters.keys():
            messages, options = _broken(messages, _control_tokens(self.processor)), {}
        inputs = self.processor.apply_chat_template(
            messages,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=not conversation.is_open,
            continue_final_message=conversation.is_open,
            **options,
        )
        return {name: value.to(self.model.device) for name, value in _cast(inputs, self.model.dtype).items()}


def _control_tokens(processor: Any) -> set[str]:
    """The tokens that mean something else than their text: those of the chat form, and those that stand for images."""
    added = processor.tokenizer.added_tokens_decoder.values()
    special = {str(token.content) for token in added if token.special}
    return special | {str(processor.image_token), str(processor.video_token)}


def _broken(messages: list[dict[str, Any]], tokens: Collection[str]) -> list[dict[str, Any]]:
    """The messages with an invisible character behind the first one of each control token in their texts."""
    found = re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))))

    def part(given: dict[str, Any]) -> dict[str, Any]:
        if given["type"] != "text":
            return given
        return {**given, "text": found.sub(lambda token: f"{token[0][0]}{_INVISIBLE}{token[0][1:]}", given["text"])}

    return [{**message, "content": list(map(part, message["content"]))} for message in messages]


def _cast(inputs: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items()}


def _hub_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages in the form of transformers: every content a list of parts, images as Pillow's."""
    from PIL import Image

    def part(given: Mapping[str, Any]) -> dict[str, Any]:
        if given["type"] == "image":
            return {"type": "image", "image": Image.fromarray(given["image"])}
        return {"type": "text", "text": given["text"]}

    def parts(content: Any) -> list[dict[str, Any]]:
        return list(map(part, content)) if isinstance(content, list) else [{"type": "text", "text": str(content)}]

    return [{"role": message["role"], "content": parts(message["content"])} for message in messages]


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Sample from this seed, and leave the generators as they were."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _make(kind: type[HubAgent], given: Mapping[str, Any]) -> HubAgent:
    return kind(**given)
