#!/bin/sh
# HDPO for Qwen3-VL-8B with the published settings of arXiv 2604.08545: the command of the tiny model with another name.
#
#   sh examples/train_qwen3vl_8b.sh out/8b                      one GPU, LoRA
#   FULL=1 sh examples/train_qwen3vl_8b.sh out/8b               one GPU of 140 GB, every weight of the language model
#   NODES=1 GPUS=8 sh examples/train_qwen3vl_8b.sh out/8b       eight GPUs, every weight, FSDP2
#
# Further arguments are passed on: --resume, --taskset parquet:train.parquet, --wandb project, --engine vllm ….
set -eu
out=${1:?"usage: $0 FOLDER [arguments of metis-gym train]"}
shift
model=${MODEL:-Qwen/Qwen3-VL-8B-Instruct}
set -- --model "$model" --taskset mixture --design hdpo:w_tool=0.15 --gradient-checkpointing --out "$out" "$@"

if [ "$((${GPUS:-1} * ${NODES:-1}))" -gt 1 ]; then
    exec torchrun --nnodes "${NODES:-1}" --nproc-per-node "${GPUS:-1}" \
        ${RENDEZVOUS:+--rdzv-backend c10d --rdzv-endpoint "$RENDEZVOUS"} -m metis_gym train \
        --parallel fsdp --tasks "$((128 / (${GPUS:-1} * ${NODES:-1})))" "$@"
fi
# One GPU: up to 32 conversations at a time, as many as have room for their keys and values (144 KiB a token).
if [ -n "${FULL:-}" ]; then
    set -- --rounding stochastic "$@"
else
    set -- --lora 64 --lr 2e-5 "$@"
fi
exec python -m metis_gym train --tasks 16 --minibatches 1 --capacity 32 --micro-batch-tokens 16384 "$@"
