"""verl on this suite's environments, with any reward design (extra `[verl]`): many nodes, Ray, vLLM or SGLang.

verl finds `metis_agents.verl.plugin` through its own entry-point group `verl.plugins`, in every process, and with it

* the agent loop `metis`: plays an episode in a real environment, token in, token out;
* the advantage estimator `metis`, and the trainers `metis_sync`, `metis_colocate_async` and `metis_separate_async` that
  hand it the outcomes: the design's joined advantages (`metis_agents.rl.joined`);
* the policy loss `metis_two_channel`, which is the channel loss exactly, also off-policy.

`metis-gym verl` writes the command line and starts it, `metis-gym verl-check` says what is registered. Nothing of verl
is imported before one of these modules is.
"""
