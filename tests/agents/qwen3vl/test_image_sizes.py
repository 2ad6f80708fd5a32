"""Images take the tokens that transformers' own processor of the checkpoint gives them."""

import json

import numpy as np
import pytest
from PIL import Image
from qwen_toys import equipment
from transformers import AutoImageProcessor

from metis_agents.chat.hf_processor import load_processor
from metis_agents.qwen3vl.chat.vocabulary import IMAGE, VISION_END, VISION_START
from metis_agents.qwen3vl.model.images import ImageEncoder
from metis_agents.qwen3vl.model.models import ModelConfig, equip, load_pretrained
from metis_gym.errors import ConfigError

PUBLIC = {
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "Qwen2VLImageProcessorFast",
    "image_std": [0.5, 0.5, 0.5],
    "merge_size": 2,
    "patch_size": 16,
    "processor_class": "Qwen3VLProcessor",
    "size": {"longest_edge": 16_777_216, "shortest_edge": 65_536},
    "temporal_patch_size": 2,
}
"""What public Qwen3-VL checkpoints say."""

CHANGES = {
    "public": {},
    "small": {"size": {"shortest_edge": 4_096, "longest_edge": 5_242_880}},
    "narrow": {"size": {"shortest_edge": 20_000, "longest_edge": 60_000}},
    "older form": {"size": None, "min_pixels": 3_136, "max_pixels": 1_003_520},
    "other colours": {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]},
}
SIDES = (1, 2, 7, 15, 16, 17, 31, 33, 47, 48, 64, 80, 181, 200, 300, 449, 1023)


def save(folder, changes):
    equipment().save_pretrained(folder)
    config = {key: value for key, value in {**PUBLIC, **changes}.items() if value is not None}
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return folder


def loaded(folder, **options):
    config = ModelConfig(name=str(folder), **options)
    return equip(load_pretrained(config), config, ("</tool_call>",))


def image_of(height, width):
    return np.random.default_rng(height * 2_048 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_an_image_takes_as_many_tokens_as_transformers_processor_gives_it(tmp_path, changes):
    kit, processor = loaded(save(tmp_path, changes)), load_processor(str(tmp_path))
    pad = kit.renderer.vocabulary.image
    sizes = [(h, w) for h in SIDES for w in SIDES if max(h, w) <= 200 * min(h, w)]
    ours, theirs = {}, {}
    for size in [*sizes, (15, 181)]:
        image = image_of(*size)
        ours[size] = int((kit.renderer.prompt("", "<image>", [image]).ids_T == pad).sum())
        text = f"{VISION_START}{IMAGE}{VISION_END}"
        ids = processor(text=[text], images=[Image.fromarray(image)], return_tensors="np")["input_ids"]
        theirs[size] = int((ids == pad).sum())
    assert ours == theirs


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_an_image_has_the_patches_that_transformers_processor_cuts(tmp_path, changes):
    """Exactly as Pillow resizes them. torchvision, where it is installed, is near on what is no noise."""
    kit = loaded(save(tmp_path, changes))
    pillows = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    other = load_processor(str(tmp_path)).image_processor
    level = 1 / 255 / min(kit.network.encoder.std)
    for size in ((5, 40), (15, 181), (64, 64), (300, 449)):
        assert differences(kit, pillows, image_of(*size)).max() < 2e-6
        near = differences(kit, other, waves(*size))
        assert near.max() < 2.01 * level
        assert (near > 2e-6).mean() < 0.05


def differences(kit, processor, image):
    encoder = kit.network.encoder
    ours, grids = encoder.patches([encoder.encode(image)], "cpu")
    theirs = processor(images=[Image.fromarray(image)], return_tensors="np")
    assert grids.tolist() == theirs["image_grid_thw"].tolist()
    return np.abs(ours.numpy() - theirs["pixel_values"])


def waves(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack(
        [127 + 100 * np.sin(x / 9 + y / 14), 127 + 90 * np.cos(x / 20), 128 + 50 * np.sin(y / 6)], -1
    ).astype(np.uint8)


def test_limits_that_are_asked_for_go_before_the_checkpoints(tmp_path):
    save(tmp_path, {})
    few = loaded(tmp_path, min_pixels=4_096, max_pixels=16_384)
    assert few.network.encoder.tokens(few.network.encoder.encode(image_of(64, 64))) == 4
    assert few.network.encoder.tokens(few.network.encoder.encode(image_of(512, 512))) == 16


def test_what_is_saved_takes_images_as_what_saved_it(tmp_path):
    first = loaded(save(tmp_path, CHANGES["other colours"]), max_pixels=70_000)
    first.save_pretrained(tmp_path / "again")
    assert loaded(tmp_path / "again").network.encoder == first.network.encoder
    assert load_processor(str(tmp_path / "again")).image_processor.size["longest_edge"] == 70_000


def test_a_checkpoint_that_does_not_say_how_it_takes_images_is_refused(tmp_path):
    save(tmp_path, {})
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ConfigError, match=r"cannot read preprocessor_config\.json of .* Copy it there"):
        load_pretrained(ModelConfig(name=str(tmp_path)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size": 14}, r"Expect the image processor to have the model's .* sizes \(16, 2, 2\), actually: \(14"),
        ({"do_normalize": False}, "Expect an image processor with do_normalize True, actually: False"),
        ({"resample": 2}, "Expect an image processor with resample 3, actually: 2"),
        ({"image_processor_type": "CLIPImageProcessor"}, "Expect images to be taken by a Qwen2VLImageProcessor"),
    ],
)
def test_images_that_would_be_taken_otherwise_are_refused(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        loaded(save(tmp_path, changes))


def test_limits_that_exclude_each_other_are_refused():
    with pytest.raises(ConfigError, match="min_pixels 65536, max_pixels 4096"):
        ImageEncoder(min_pixels=65_536, max_pixels=4_096)
