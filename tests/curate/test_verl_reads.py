"""verl's own data sets read what a curation writes; skipped where verl, or a transformers that it takes, is not there.

The processor is a stand-in with the template of the tiny model, which puts four tokens where an image is. Read with
verl 0.9.1.
"""

import sys
import types

import pytest

from tests.curate.corpus import Row, clean, crop, picture, read_rows, write_jsonl
from tests.curate.test_asking import prompts
from tests.curate.test_cheap_stages import curate

pytest.importorskip("verl")
omegaconf = pytest.importorskip("omegaconf")
TOKENS = 4


def dataset(module, name):
    try:
        return getattr(__import__(f"verl.utils.dataset.{module}", fromlist=[name]), name)
    except ImportError as error:
        pytest.skip(f"this verl cannot be imported here: {error}")


class Processor:
    """Renders by the tiny model's template; an image is so many tokens."""

    def __init__(self):
        from metis_agents.qwen3vl.model.tiny import CHAT_TEMPLATE, tiny_tokenizer

        self.tokenizer = tiny_tokenizer(["Which colour is it? red <reason></reason><answer></answer>"] * 50)
        self.tokenizer.chat_template = CHAT_TEMPLATE
        self.image_processor = types.SimpleNamespace(patch_size=16)
        self.seen = []

    def apply_chat_template(self, messages, *, tokenize=True, return_tensors=None, return_dict=False, **_):
        text = self.tokenizer.apply_chat_template(messages, tokenize=False)
        if not tokenize:
            return text
        for message in messages if isinstance(messages[0]["content"], list) else ():
            self.seen += [part["image"] for part in message["content"] if part["type"] == "image"]
        text = text.replace("<|image_pad|>", "<|image_pad|>" * TOKENS)
        found = self.tokenizer(text, return_tensors=return_tensors, add_special_tokens=False)
        return found if return_dict else found["input_ids"]


@pytest.fixture
def plain_images(monkeypatch):
    """qwen_vl_utils needs torchvision, for films; of an image verl wants it as it is."""
    fake = types.ModuleType("qwen_vl_utils")
    fake.fetch_image = lambda image, **_: image["image"].convert("RGB")
    monkeypatch.setitem(sys.modules, "qwen_vl_utils", fake)


@pytest.mark.usefixtures("plain_images")
def test_trajectories_are_sft_examples(tmp_path):
    rows = [row.chat() for row in (*clean(2), Row(5, calls=[], code="1"))]
    assert curate("sft", write_jsonl(tmp_path / "data.jsonl", rows), tmp_path / "out", "--no-execute") == 0
    processor = Processor()
    read = dataset("multiturn_sft_dataset", "MultiTurnSFTDataset")(
        str(tmp_path / "out/data-00000.parquet"),
        processor.tokenizer,
        omegaconf.OmegaConf.create({"max_length": 4_096, "pad_mode": "no_padding"}),
        processor,
    )
    assert len(read) == 3
    for number, row in enumerate(read_rows(tmp_path / "out")):
        example = read[number]
        learned = processor.tokenizer.decode(example["input_ids"][example["loss_mask"].bool()])
        own = [message["content"] for message in row["messages"] if message["role"] == "assistant"]
        assert learned == "".join(f"{text}<|im_end|>\n" for text in own)
        pads = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        assert int((example["input_ids"] == pads).sum()) == TOKENS * len(row["images"])
    assert [image.size for image in processor.seen[:2]] == [picture(0).shape[1::-1], crop(picture(0)).shape[1::-1]]


def test_prompts_are_rl_examples(tmp_path):
    source = write_jsonl(tmp_path / "rows.jsonl", prompts(["Which one?", "And this?"], options=["red", "blue"]))
    assert curate("rl", source, tmp_path / "out") == 0
    config = {"cache_dir": str(tmp_path / "cache"), "filter_overlong_prompts": False}
    read = dataset("rl_dataset", "RLHFDataset")(
        str(tmp_path / "out/data-00000.parquet"), None, omegaconf.OmegaConf.create(config), Processor()
    )
    assert len(read) == 2
    for number, row in enumerate(read_rows(tmp_path / "out")):
        example = read[number]
        (message,) = example["raw_prompt"]
        image, text = message["content"]
        assert image["image"].size == picture(number).shape[1::-1]
        assert "<image>" + text["text"] == row["prompt"][0]["content"]
        assert example["reward_model"]["ground_truth"] == "red"
        assert example["index"] == row["extra_info"]["index"]
