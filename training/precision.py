"""In which numbers a model is trained: float32, or bfloat16 for the products while weights and loss stay float32.

Mixed precision (Micikevicius et al. 2018, arXiv 1710.03740). Imports no torch at the top.
"""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16"]


def chosen_precision(wanted: Literal["auto"] | Precision, device: "torch.device") -> Precision:
    """Turn `auto` into bfloat16 where the device computes in it natively, else into float32.

    Native are GPUs since Ampere and processors with AVX512_BF16 or AMX; on others it would be emulated, and slower.
    """
    import torch

    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    capabilities = torch.cpu.get_capabilities()
    native = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return "bfloat16" if native else "float32"
