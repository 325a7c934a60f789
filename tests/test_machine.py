"""The description holds what reports and the doctor show, as JSON."""

import json
import os

import torch

from gossamer import machine
from gossamer.kernels import native


def test_the_description_is_json_and_complete():
    found = machine.describe()
    assert json.loads(json.dumps(found)) == found
    assert list(found) == [
        *("processor", "cores", "threads", "isa", "memory_bytes", "python", "torch", "platform", "accelerator"),
    ]
    assert found["processor"]
    assert 1 <= found["cores"] <= os.cpu_count()
    assert found["threads"] == torch.get_num_threads()
    assert found["isa"] == (native.isa() if native.available() else "reference")
    assert found["memory_bytes"] > 2**28
    assert (found["accelerator"] is None) == (not torch.cuda.is_available())
