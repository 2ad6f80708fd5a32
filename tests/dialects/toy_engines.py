"""Search engines that always find the same."""

import numpy as np

from metis_gym.search.contract import ImageHit, TextHit


class OnePage:
    """Finds one page, whatever is asked."""

    name, parameters, is_live = "one_page", {}, False

    def fingerprint(self):
        return "1"

    def search(self, query, *, limit):
        return (TextHit(title="The tower", snippet=f"About {query}.", link="https://page.example"),)[:limit]

    def scores(self, query, passages):
        return None


class OneImage:
    """Finds one image, whatever is asked."""

    name, parameters, is_live = "one_image", {}, False

    def fingerprint(self):
        return "1"

    def search(self, query, *, limit):
        return (ImageHit(title="A tower", image=np.zeros((64, 64, 3), np.uint8)),)[:limit]

    def distances(self, query, images):
        return None
