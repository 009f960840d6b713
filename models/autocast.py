"""bfloat16 where it is faster."""

import torch


def autocast(device: str) -> torch.autocast:
    """What a forward pass of training runs under. Where a processor has no instructions for bfloat16, every product is
    emulated, twelve times slower than in float32."""
    able = torch.cpu.get_capabilities()
    fast = device == "cuda" or able.get("avx512_bf16", False) or able.get("amx_bf16", False)
    return torch.autocast(device, torch.bfloat16, enabled=fast)
