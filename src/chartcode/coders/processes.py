"""Several processes of `accelerate launch` as one: what they have to tell each other, and which of them goes on."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor, nn


def add_over_processes(accelerator: Accelerator, network: nn.Module, lost: Tensor) -> None:
    """Put the sum over all processes into each one's gradients and its loss, in one message."""
    if accelerator.num_processes == 1:
        return
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in learned]
    whole = accelerator.reduce(torch.cat([lost.reshape(1), *(gradient.flatten() for gradient in gradients)]), "sum")
    lost.copy_(whole[0])
    parts = whole[1:].split([parameter.numel() for parameter in learned])
    for parameter, part in zip(learned, parts, strict=True):
        parameter.grad = part.view_as(parameter)


def one_goes_on(accelerator: Accelerator) -> None:
    """Wait for all; then every process but the first ends, with status 0: what follows is one process' work."""
    if accelerator.num_processes == 1:
        return
    accelerator.wait_for_everyone()
    accelerator.end_training()
    if not accelerator.is_main_process:
        raise SystemExit(0)
