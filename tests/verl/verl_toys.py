"""A tiny Qwen3-VL as a checkpoint, and what writes turns in the place of a GPU server; Ray workers import it."""

import asyncio
import json

from verl.workers.rollout.replica import TokenOutput

CALL = {"name": "python", "arguments": {"code": "image_1.crop((0, 0, 64, 64))"}}
ENV = {"taskset": "patches", "answers": "choice", "view_size": 64, "max_source": 1024}


def call():
    return f"<reason></reason><tool_call>{json.dumps(CALL)}</tool_call>"


def answer(letter):
    return f"<reason></reason><answer>{letter}</answer><|im_end|>"


def checkpoint(folder):
    """Write a tiny model with Qwen3-VL's configuration and processor."""
    from transformers import AutoImageProcessor, Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    from metis_agents.qwen3vl.model.models import ModelConfig, new_tiny

    loaded = new_tiny([call(), answer("A"), "You answer questions about images. Question: which?"] * 8, ModelConfig())
    loaded.save_pretrained(folder)
    images = AutoImageProcessor.from_pretrained(folder)
    assert isinstance(images, Qwen2VLImageProcessor) or "Qwen2VL" in type(images).__name__
    template = loaded.tokenizer.chat_template
    processor = Qwen3VLProcessor(images, loaded.tokenizer, Qwen3VLVideoProcessor(), chat_template=template)
    processor.save_pretrained(folder)


class Scripted:
    """Writes given turns, by the member of the group: the sampler's choice of words, and nothing else.

    Args:
        folder: The checkpoint, for its tokenizer.
        turns: For each member, its turns; None is a server that breaks off, "..." one that never answers.
    """

    def __init__(self, folder, turns):
        from transformers import AutoTokenizer

        self.tokenizer, self.turns, self.written = AutoTokenizer.from_pretrained(folder), turns, {}
        self.asked = []

    async def generate(self, request_id, *, prompt_ids, sampling_params, image_data=None, **_):
        member = int(request_id.rsplit("-", 2)[1])
        turn = self.written.setdefault(request_id, 0)
        self.written[request_id] += 1
        assert sampling_params["max_tokens"] > 0 and sampling_params["stop_token_ids"]
        self.asked.append((prompt_ids, image_data))
        text = self.turns[member][turn]
        if text is None:
            raise ConnectionError("the server is gone")
        if text == "...":
            await asyncio.sleep(3_600)
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        return TokenOutput(token_ids=ids, log_probs=[-0.25] * len(ids), stop_reason="completed")
