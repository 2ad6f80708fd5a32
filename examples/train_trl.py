"""TRL's GRPOTrainer learns by HDPO in this suite's environments.

python examples/train_trl.py --model Qwen/Qwen3-VL-8B-Instruct --taskset signs --out out/trl

On one GPU of 80 GB the 8B model needs LoRA (`--lora 64`); several GPUs: `accelerate launch examples/train_trl.py …`.
"""

import argparse

from datasets import Dataset
from trl import GRPOConfig

from metis_agents.chat.hf_processor import load_processor
from metis_agents.trl import channel_trainer, environment_class, task_rows


def main() -> None:
    """Train, and save the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen/Qwen3-VL-8B-Instruct")
    parser.add_argument("--taskset", default="signs")
    parser.add_argument("--design", default="hdpo:w_tool=0.15")
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--group-size", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=4_096, help="longest episode, all turns and observations")
    parser.add_argument("--lora", type=int, help="rank; without it every weight learns")
    parser.add_argument("--vllm", action="store_true", help="let vLLM write, on the same GPU")
    parser.add_argument("--cpu", action="store_true")
    given = parser.parse_args()

    environment = environment_class(taskset=given.taskset)
    config = GRPOConfig(
        output_dir=given.out,
        scale_rewards="none",  # the advantages are scaled already
        num_generations=given.group_size,
        per_device_train_batch_size=given.group_size,
        max_completion_length=given.tokens,
        max_steps=given.steps,
        learning_rate=1e-6 if given.lora is None else 2e-5,
        use_vllm=given.vllm,
        use_cpu=given.cpu,
        bf16=not given.cpu,
        report_to=[],
    )
    options = {}
    if given.lora is not None:
        from peft import LoraConfig

        options["peft_config"] = LoraConfig(r=given.lora, lora_alpha=32, target_modules="all-linear")
    trainer = channel_trainer(
        given.model,
        config,
        design=given.design,
        environment=environment,
        train_dataset=Dataset.from_list(task_rows(environment, given.steps)),
        processing_class=load_processor(given.model),
        **options,
    )
    trainer.train()
    trainer.save_model(given.out)


if __name__ == "__main__":
    main()
