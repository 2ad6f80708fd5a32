"""Models behind a chat interface as agents: endpoints, checkpoints of the hub, and systems that run their own tools.

`agent` is what they share, `endpoint` asks any chat-completions endpoint, `opaque` one that runs tools itself, `hf` a
checkpoint in this process. `stub` is an endpoint for tests and for trying commands offline. Only `hf` imports torch.
"""
