#!/usr/bin/env bash
# TensorRT plans of all models, for the GPU of this node: into the repository $1, by way of the cache $2.
set -euo pipefail
for model in model_repository/*/; do
  python -c 'from models.cli import main; main()' build-plan "$model" --repository "$1" --cache "$2"
done
