"""All attacks, by family."""

from tests.attacks.families import (
    crashes,
    escape,
    exhaustion,
    hangs,
    hiding,
    idling,
    killing,
    neighbours,
    network,
    output,
    printed,
    programs,
    protocol,
    reading,
    tampering,
)

FAMILIES = tuple(
    module.FAMILY
    for module in (
        reading,
        escape,
        tampering,
        network,
        exhaustion,
        hiding,
        hangs,
        idling,
        output,
        printed,
        killing,
        neighbours,
        protocol,
        programs,
        crashes,
    )
)
ATTACKS = tuple(attack for family in FAMILIES for attack in family.attacks)
BY_NAME = {attack.name: attack for attack in ATTACKS}
