"""What verl loads through its entry-point group `verl.plugins`, in every process: registers our parts by name.

verl swallows an error of this import; `metis-gym verl-check` shows it.
"""

from verl.experimental.agent_loop.agent_loop import register
from verl.trainer.ppo.core_algos import register_adv_est, register_policy_loss
from verl.trainer.ppo.v1 import register_trainer

from metis_agents.verl.advantage import metis_advantage
from metis_agents.verl.loop import MetisAgentLoop
from metis_agents.verl.loss import two_channel_loss
from metis_agents.verl.trainer import TRAINERS

__all__: list[str] = []

register("metis")(MetisAgentLoop)
register_adv_est("metis")(metis_advantage)
register_policy_loss("metis_two_channel")(two_channel_loss)
for _name, _trainer in TRAINERS.items():
    register_trainer(_name)(_trainer)
