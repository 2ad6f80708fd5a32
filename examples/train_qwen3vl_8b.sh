#!/bin/sh
# HDPO for Qwen3-VL-8B with the published settings of arXiv 2604.08545: the command of the tiny model with another name.
#
#   sh examples/train_qwen3vl_8b.sh out/8b                      one GPU, LoRA
#   NODES=1 GPUS=8 sh examples/train_qwen3vl_8b.sh out/8b       eight GPUs, every weight, FSDP2
#
# Further arguments are passed on: --resume, --taskset parquet:train.parquet, --wandb project, --engine vllm ….
set -eu
out=${1:?"usage: $0 FOLDER [arguments of metis-gym train]"}
shift
model=${MODEL:-Qwen/Qwen3-VL-8B-Instruct}

if [ "${GPUS:-1}" = 1 ]; then
    exec python -m metis_gym train --model "$model" --lora 64 --lr 2e-5 --tasks 16 --minibatches 1 \
        --taskset mixture --design hdpo:w_tool=0.15 --out "$out" "$@"
fi
exec torchrun --nnodes "${NODES:-1}" --nproc-per-node "$GPUS" ${RENDEZVOUS:+--rdzv-backend c10d --rdzv-endpoint "$RENDEZVOUS"} \
    -m metis_gym train --model "$model" --parallel fsdp --gradient-checkpointing \
    --tasks "$((128 / (GPUS * ${NODES:-1})))" --taskset mixture --design hdpo:w_tool=0.15 --out "$out" "$@"
