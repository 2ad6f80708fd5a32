"""Recorded episodes as one HTML page that opens with a double click: no server, no network, nothing to install.

Everything that models, tools and recordings wrote is escaped here, in Python; the page's script only shows and hides.
A content security policy allows the page's own style and script and images inside the page, and nothing else.
"""

from metis_gym.viewer.episodes import EpisodeCard, TurnCard, card_of_episode, read_episodes
from metis_gym.viewer.markup import Html
from metis_gym.viewer.page import page_html
from metis_gym.viewer.rendering import episode_html

__all__ = [
    "EpisodeCard",
    "Html",
    "TurnCard",
    "card_of_episode",
    "episode_html",
    "page_html",
    "read_episodes",
]
