"""The Open Inference Protocol V2 (https://github.com/kserve/open-inference-protocol) as Triton extends it.

`requests` reads, `responses` writes, `models` describes, `tensors` is how values look on the wire.
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
