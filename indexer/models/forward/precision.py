"""Numeric precision of inference: float32, or bfloat16 for matrix products and float32 for everything else.

Mixed precision (Micikevicius et al. 2018, arXiv 1710.03740). Imports no torch at the top.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from quarry.indexer.errors import ModelError

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16"]
WantedPrecision = Literal["auto", "float32", "bfloat16"]


def chosen_precision(wanted: WantedPrecision, device: "torch.device") -> Precision:
    """Turn `auto` into bfloat16 where the device computes in it natively, else into float32.

    GPUs since Ampere and CPUs with AVX512_BF16 or AMX do; others would emulate it, which is slower.
    """
    import torch

    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type != "cpu":
        return "float32"
    capabilities = torch.cpu.get_capabilities()
    native = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return "bfloat16" if native else "float32"


@dataclass(frozen=True, slots=True)
class Compute:
    """Device and precision of a loaded model.

    Attributes:
        device: A torch device.
        precision: `bfloat16` is the whole model on a GPU, and matrix products only on a CPU.
    """

    device: str
    precision: Precision

    @classmethod
    def of(cls, device: str, wanted: WantedPrecision) -> "Compute":
        """Choose for a torch device. GPUs take bfloat16 unless float32 is asked for.

        Raises:
            ModelError: If the precision is unknown.
        """
        import torch

        if wanted not in get_args(WantedPrecision):
            raise ModelError(
                "models.precision",
                "the precision is {wanted}",
                expected="one of {known}",
                do="Correct it",
                wanted=repr(wanted),
                known=list(get_args(WantedPrecision)),
            )
        if device.startswith("cuda") and wanted == "auto":
            return cls(device, "bfloat16")
        return cls(device, chosen_precision(wanted, torch.device(device)))

    def products(self) -> "torch.autocast":
        """Return the context to call a model of `load_weights` in.

        torch then casts what enters a product and keeps softmax, norms and the sum of residuals in float32.
        """
        import torch

        kind = torch.device(self.device).type
        mixed = kind != "cuda" and self.precision == "bfloat16"  # what `load_weights` leaves half converted
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=mixed)


def split_device(wanted: str, precision: WantedPrecision = "auto") -> tuple[str, WantedPrecision]:
    """Split the value of `--device`, such as `cpu:float32` or `auto`, into device and precision (`auto` when not given).

    Args:
        wanted: A device, several separated by commas, or `auto`; a precision may follow.
        precision: What was asked for elsewhere; unless it is `auto`, it overrides the precision after the device.
    """
    device, _, last = wanted.rpartition(":")
    if last == "float32":
        return device, "float32" if precision == "auto" else precision
    if last == "bfloat16":
        return device, "bfloat16" if precision == "auto" else precision
    return wanted, precision


def lighten(model: Any) -> None:
    """Store the weights of linear layers in bfloat16, in place: half the memory, no cast per call.

    The token table and norms keep float32; what follows a transformer, such as a scoring head, is not handed in.
    """
    import torch

    for module in model.modules():
        if type(module) is torch.nn.Linear:
            module.to(torch.bfloat16)


def compute_exactly(module: Any) -> None:
    """Make a module that takes one tensor compute in float32, even inside `Compute.products`.

    For a scoring head: in half precision near-equal passages tie or change places.
    """
    import torch

    module.float()
    inner = module.forward

    def forward(states: "torch.Tensor") -> "torch.Tensor":
        with torch.autocast(states.device.type, enabled=False):
            found: torch.Tensor = inner(states.float())
        return found

    module.forward = forward
