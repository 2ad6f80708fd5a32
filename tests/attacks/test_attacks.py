"""Every attack on every backend that this machine has, as the current user and as one without rights."""

import pytest

from tests.attacks.attack import Attack
from tests.attacks.catalogue import ATTACKS


def test_there_are_sixty_attacks_and_no_name_twice() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_attack_is_contained(arena, attack: Attack) -> None:
    assert arena.attack(attack).breaches == []
