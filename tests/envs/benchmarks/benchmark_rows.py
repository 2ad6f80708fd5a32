"""One made-up row of each benchmark, in the columns that its files have."""

import base64
import io

import numpy as np
from PIL import Image


def png(seed=0, size=(40, 30)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def coded(seed=0):
    return base64.b64encode(png(seed)).decode()


def stored(seed=0):
    return {"bytes": png(seed), "path": None}


def hrbench(answer="B", category="single", cycle=0, **more):
    options = {"A": "red", "B": "blue", "C": "green", "D": "grey"}
    return {
        "index": 0,
        "question": "What colour is the boat?",
        "answer": answer,
        "category": category,
        "cycle_category": cycle,
        "image": coded(),
        **options,
        **more,
    }


ROWS = {
    "vstar": {
        "image": stored(),
        "text": "What is the material of the glove?\n(A) rubber\n(B) cotton\n(C) wool\nAnswer with the option's letter "
        "from the given choices directly.",
        "category": "direct_attributes",
        "label": "A",
        "question_id": "0",
    },
    "hrbench_4k": hrbench(),
    "hrbench_8k": hrbench(category="cross"),
    "treebench": {
        "index": 1,
        "image": coded(),
        "question": "What does the sign say?",
        "multi-choice options": "A. stop\nB. go\nC. wait\nD. turn",
        "answer": "C",
        "category": "Perception/OCR",
        "target_instances": "[[1, 2, 3, 4]]",
    },
    "mme_realworld": {
        "index": "7",
        "question": "How many cars are there?",
        "multi-choice options": ["(A) 1", "(B) 2", "(C) 3", "(D) 4", "(E) The image does not show it."],
        "answer": "E",
        "category": "Perception/Monitoring",
        "l2-category": "car/counting",
        "bytes": coded(),
    },
    "seed2plus": {
        "question": "Which bar is tallest?",
        "choice_A": "one",
        "choice_B": "two",
        "choice_C": "three",
        "choice_D": "four",
        "answer": "D",
        "question_image_type": "chart",
        "image": stored(),
    },
    "charxiv_rq": {"reasoning_q": "By how much?", "reasoning_a": "0.25", "reasoning_a_type": 4, "image": stored()},
    "charxiv_dq": {
        **{f"descriptive_q{number}": template for number, template in enumerate((1, 11, 17, 19), 1)},
        **{f"descriptive_a{number}": text for number, text in enumerate(("Losses", "Yes", "12", "4"), 1)},
        "subplot_loc": "[1, 2]",
        "num_subplots": 4,
        "image": stored(),
    },
    "mathvista": {
        "pid": "1",
        "question": "How far?",
        "choices": None,
        "unit": "m",
        "precision": 2.0,
        "answer": "0.21",
        "question_type": "free_form",
        "answer_type": "float",
        "decoded_image": stored(),
        "image": "images/1.jpg",
        "metadata": {"task": "figure question answering", "source": "made up", "skills": ["arithmetic"]},
    },
    "mathverse": {
        "problem_index": "1",
        "problem_version": "Vision Only",
        "question": "",
        "answer": "D",
        "question_type": "multi-choice",
        "image": stored(),
    },
    "wemath": {
        "ID": "2steps_1",
        "key": "2steps_multi",
        "question": "How long is it?",
        "option": "A. 3 cm; B. 4 cm;C. north to ;F. No correct answer",
        "answer": "F",
        "knowledge concept": "lengths",
        "image_path": stored(),
    },
    "dynamath": {
        "id": "12",
        "question": "Which is right? Choices: (A) one (B) two (C) three",
        "decoded_image": stored(),
        "ground_truth": "B",
        "answer_type": "multiple choice",
        "subject": "algebra",
        "knowledge_level": "high school",
    },
    "logicvista": {"question": "Which two fit?", "answer": "A, C", "skill": ["spatial"], "image": stored()},
}
ROWS["mme_realworld_lite"] = ROWS["mme_realworld"]
"""Benchmark → a row as the hub stores it, or as its TSV holds it."""

TEXT_FORMS = ("hrbench_4k", "hrbench_8k", "treebench")
"""Benchmarks that come as tab-separated values with images in base64."""
