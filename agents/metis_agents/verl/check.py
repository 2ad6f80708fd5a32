"""What `metis-gym verl-check` finds out: whether verl can be imported, and what of ours it knows."""

import importlib
import importlib.metadata
import sys
import traceback
from dataclasses import dataclass

from metis_gym.errors import MissingDependencyError

__all__ = ["Finding", "check"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: What.
        is_right: Whether it is as it should be.
        detail: More about it.
    """

    what: str
    is_right: bool
    detail: str


def check() -> list[Finding]:
    """Import the plug-in loudly, and look into verl's own registries.

    Raises:
        MissingDependencyError: verl is not installed.
    """
    try:
        verl = importlib.import_module("verl")
    except ModuleNotFoundError as error:
        raise MissingDependencyError.of(str(error.name), "verl", "`metis-gym verl`") from error
    is_loaded = "metis_agents.verl.plugin" in sys.modules
    entries = [entry.value for entry in importlib.metadata.entry_points(group="verl.plugins")]
    findings = [
        Finding("verl", True, verl.__version__),
        Finding("entry point verl.plugins", "metis_agents.verl.plugin" in entries, ", ".join(entries) or "none"),
        Finding("loaded by verl itself", is_loaded, "yes" if is_loaded else "no: see VERL_USE_EXTERNAL_PLUGINS"),
    ]
    try:
        importlib.import_module("metis_agents.verl.plugin")
    except Exception:  # noqa: BLE001 — verl would swallow it; here it is shown whatever it is
        return [*findings, Finding("the plug-in's import", False, traceback.format_exc())]
    return [*findings, Finding("the plug-in's import", True, "metis_agents.verl.plugin"), *_registered()]


def _registered() -> list[Finding]:
    loops = importlib.import_module("verl.experimental.agent_loop.agent_loop")._agent_loop_registry
    algorithms = importlib.import_module("verl.trainer.ppo.core_algos")
    trainers = importlib.import_module("verl.trainer.ppo.v1.trainer_base").TRAINER_REGISTRY
    wanted = [
        ("agent loop", "metis", loops),
        ("advantage estimator", "metis", algorithms.ADV_ESTIMATOR_REGISTRY),
        ("policy loss", "metis_two_channel", algorithms.POLICY_LOSS_REGISTRY),
        *(("trainer", f"metis_{mode}", trainers) for mode in ("sync", "colocate_async", "separate_async")),
    ]
    return [
        Finding(f"{kind} {name}", name in known, "registered" if name in known else "missing")
        for kind, name, known in wanted
    ]
