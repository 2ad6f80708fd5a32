"""What a model prints and draws cannot take its episode out of the loss: it is cut, and the episode is scored."""

import numpy as np
import pytest
from qwen_toys import BUDGET, CALL, ScriptedEngine, jobs, make_env, player
from test_bad_input import budget, scripted

from metis_agents.qwen3vl.chat.cutting import cut_text
from metis_agents.qwen3vl.rollouts.worker import RolloutWorker
from metis_gym.dialects.contract import IMAGE_MARK
from metis_gym.errors import ConfigError

WRONG = ((CALL, "<reason></reason><answer>nonsense</answer><|im_end|>"),)


def image(height, width):
    return np.full((height, width, 3), 90, dtype=np.uint8)


def told(kit, tokens):
    return kit.tokenizer.decode(tokens.ids_T.tolist())


def image_tokens(kit, tokens):
    return int((tokens.ids_T == kit.renderer.vocabulary.image).sum())


class Talkative:
    """An environment whose tools return what a model wanted them to return."""

    def __init__(self, text, images=()):
        self._text, self._images = text, images

    def __call__(self):
        env = make_env()
        original = env.step

        def step(action):
            observation, *rest = original(action)
            if not (rest[1] or rest[2]):
                observation = {**observation, "text": self._text, "images": self._images}
            return observation, *rest

        env.step = step
        return env


DIGITS = "7" * 16_000
FIGURES = f"{IMAGE_MARK}\n{IMAGE_MARK}\n{IMAGE_MARK}"


@pytest.mark.parametrize(
    ("text", "images"),
    [
        (DIGITS, ()),
        (FIGURES, (image(448, 448),) * 3),
        (f"{DIGITS}{IMAGE_MARK}{DIGITS}", (image(512, 512),)),
        (f"see {IMAGE_MARK}", (image(10, 4_000),)),
        (IMAGE_MARK * 90, (image(64, 64),) * 90),
    ],
    ids=["digits", "three figures", "digits and a figure", "a figure of extreme shape", "many figures"],
)
@pytest.mark.parametrize("most", [5, 64, 256])
def test_a_model_cannot_make_its_own_wrong_episode_unscored(kit, text, images, most):
    acting = RolloutWorker(
        ScriptedEngine(kit.tokenizer, WRONG), kit.renderer, Talkative(text, images), budget=budget(observation=most)
    )
    (rollout,) = acting.play(jobs(tasks=1, group_size=1))
    acting.close()
    assert rollout.outcome.scored
    assert not rollout.outcome.correct
    assert rollout.outcome.turns == 2, "it went on and gave its answer"
    assert not acting.counts
    assert acting.cut_observations == 1
    assert len(rollout.payload) <= rollout.payload.prompt_length + BUDGET.response


def test_an_observation_within_its_budget_is_whole(kit):
    text, images = f"a{IMAGE_MARK}b", [image(64, 64)]
    whole = kit.renderer.observation(text, images, is_closed=True)
    fitted = kit.renderer.fitted_observation(text, images, is_closed=True, max_tokens=len(whole))
    assert not fitted.is_cut
    np.testing.assert_array_equal(fitted.tokens.ids_T, whole.ids_T)
    assert kit.renderer.fitted_observation(text, images, is_closed=True, max_tokens=len(whole) - 1).is_cut


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("most", [60, 61, 100, 255, 1_000])
def test_text_keeps_its_beginning_and_end_within_the_budget(kit, most, is_closed):
    text = "first words. " + "é·7 " * 3_000 + "last words"
    fitted = kit.renderer.fitted_observation(text, is_closed=is_closed, max_tokens=most)
    assert fitted.is_cut
    assert most - 4 <= len(fitted.tokens) <= most
    said = told(kit, fitted.tokens)
    assert "user\nfirst" in said
    assert "words<|im_end|>" in said
    assert "tokens left out" in said


def test_images_that_fit_stay_and_the_others_are_named(kit):
    """Four, 196 and four tokens, each with two marks, in 150: the large one goes."""
    text = f"A{IMAGE_MARK}B{IMAGE_MARK}C{IMAGE_MARK}D"
    fitted = kit.renderer.fitted_observation(
        text, [image(64, 64), image(448, 448), image(64, 64)], is_closed=True, max_tokens=150
    )
    assert len(fitted.tokens) <= 150
    assert image_tokens(kit, fitted.tokens) == 8
    assert [(kept.rows, kept.columns) for kept in fitted.tokens.images] == [(4, 4), (4, 4)]
    assert "image left out: it takes 198 tokens" in told(kit, fitted.tokens)
    for place, length in zip(fitted.tokens.places, (4, 4), strict=True):
        assert set(fitted.tokens.ids_T[place : place + length]) == {kit.renderer.vocabulary.image}


def test_much_text_leaves_room_for_an_image(kit):
    fitted = kit.renderer.fitted_observation(f"{DIGITS}{IMAGE_MARK}", [image(64, 64)], is_closed=True, max_tokens=128)
    assert image_tokens(kit, fitted.tokens) == 4
    assert len(fitted.tokens) <= 128


def test_control_tokens_in_cut_text_are_plain_text(kit):
    fitted = kit.renderer.fitted_observation("<|im_end|><|im_start|>" * 900, is_closed=True, max_tokens=200)
    vocabulary = kit.renderer.vocabulary
    assert (fitted.tokens.ids_T == vocabulary.end).sum() == 1
    assert (fitted.tokens.ids_T == vocabulary.start).sum() == 2


def test_marks_without_images_are_still_an_error(kit):
    with pytest.raises(ConfigError, match="actually: 1 marks and 0 images"):
        kit.renderer.fitted_observation(IMAGE_MARK, is_closed=True, max_tokens=10)


@pytest.mark.parametrize("room", range(0, 140, 7))
def test_cut_text_fills_its_room(room):
    texts = ["0123456789" * 4, "", "abcdefghij" * 5]
    kept = cut_text(texts, room, lambda text: [*map(ord, text)])
    said = "".join(map(chr, kept))
    if room >= 90:
        assert said == "".join(texts)
    else:
        assert said.count("tokens left out") == 1
        assert len(said) <= max(room, len("\n[… 90 tokens left out …]\n"))
        before, after = said.split("\n[… ")[0], said.split(" …]\n")[1]
        assert texts[0].startswith(before)
        assert "".join(texts).endswith(after)
        assert 0 <= len(before) - len(after) <= 1


def test_a_prompt_that_does_not_fit_stays_unscored(kit):
    """Prompts are the environment's own."""
    acting = scripted(kit, budget=budget(prompt=10))
    rollouts = acting.play(jobs(tasks=1))
    acting.close()
    assert not any(rollout.outcome.scored for rollout in rollouts)
    assert acting.counts == {"prompt": 3}


def test_cuts_of_an_ordinary_run_are_counted(kit):
    acting = player(kit, ScriptedEngine(kit.tokenizer, WRONG), budget=budget(observation=20))
    acting.play(jobs(tasks=2, group_size=2))
    acting.close()
    assert acting.cut_observations == 4
