"""bfloat16 where it is faster."""

import torch


def autocast(device: str) -> torch.autocast:
    """What a forward pass of training runs under. Where a processor has no instructions for bfloat16, every product is
    emulated, twelve times slower than in float32."""
    fast = device == "cuda" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.autocast(device, torch.bfloat16, enabled=fast)
