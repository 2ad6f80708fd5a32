#!/bin/sh
# HDPO for Qwen3-VL-8B with verl, on a Ray cluster, with the published settings of arXiv 2604.08545.
#
#   sh examples/train_verl.sh                           eight GPUs of this machine
#   NODES=2 sh examples/train_verl.sh                   two machines, after `ray start` on both
#   GPUS=1 MODEL=Qwen/Qwen3-VL-2B-Instruct sh examples/train_verl.sh --tasks 16 --minibatch 16
#
# Further arguments are passed on: --dry-run, --taskset signs, overrides of verl such as trainer.save_freq=20 ….
set -eu
metis-gym verl-check
exec metis-gym verl --model "${MODEL:-Qwen/Qwen3-VL-8B-Instruct}" --taskset mixture --design hdpo:w_tool=0.15 \
    --nodes "${NODES:-1}" --gpus "${GPUS:-8}" "$@"
