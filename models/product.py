"""The matrix product of hand-written loops, by whichever library is faster.

On a CPU torch multiplies float32 matrices by MKL, which uses half of an AMD processor's vector
width. oneDNN, the library under torch's own recurrent kernels, uses all of it, and is 1.3 to 1.9
times as fast from some hundred rows and columns on; below that, its call costs more than it saves.
Of a cell's whole pass that is a fifth (AdamLSTM, AdamGRU, DTRIV) or a tenth (AdamRNN, AdamDTRIV).
Torch reaches it by an operator of its compiler's, which is not public: where that is missing, or
does not do what it does here, the product is the plain one.
"""

from typing import Any

import torch
from torch import Tensor

LARGE = 1 << 20  # multiplications, from which on oneDNN is faster


def working(operator: Any) -> Any:
    """The operator, or None unless it is one and gives a product when it is asked."""
    left, right = (torch.ones(rows, 3, dtype=torch.float32, device="cpu") for rows in (2, 4))
    try:
        return operator if (operator(left, right, None, "none", [], "") == 3).all() else None
    except Exception:  # whatever another build of torch has in its place
        return None


_linear = working(getattr(torch.ops.mkldnn, "_linear_pointwise", None))


def product(left: Tensor, right: Tensor) -> Tensor:
    """(M, N) from (M, K) and (N, K): left times right transposed. Outside of autograd only."""
    if _linear is not None and _fits(left, right):
        result: Tensor = _linear(left, right, None, "none", [], "")
        return result
    return left @ right.mT


def _fits(left: Tensor, right: Tensor) -> bool:
    large = left.numel() * len(right) > LARGE
    return large and left.device.type == "cpu" and left.dtype == right.dtype == torch.float32
