"""The Open Inference Protocol V2 (https://github.com/kserve/open-inference-protocol) as Triton extends it.

`responses` writes, `models` describes; requests and values on the wire are in `edgeai_runtime.protocol`.
Extensions (https://github.com/triton-inference-server/server, docs/protocol): binary_tensor_data,
classification, schedule_policy, statistics, model_configuration, model_repository.
"""

EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "schedule_policy",
    "statistics",
    "model_configuration",
    "model_repository",
]
