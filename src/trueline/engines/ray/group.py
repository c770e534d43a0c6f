"""How the learners of a group find each other: over the network that Ray's nodes talk on."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

import ray
from ray.train.torch import TorchConfig

_ADDRESS_OF = 0x8915  # SIOCGIFADDR


def use_network_of_node() -> None:
    """Gloo and NCCL would take the address that the host's name stands for: on many machines that is 127.0.1.1."""
    found = _interface_of(ray.util.get_node_ip_address())
    if found:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", found)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", found)


def _interface_of(address: str) -> str:
    """The name of the network interface with an IPv4 address; empty where there is none."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for _, name in socket.if_nameindex():
            asked = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(handle.fileno(), _ADDRESS_OF, asked)
            except OSError:
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return ""


class _Backend(TorchConfig().backend_cls):  # type: ignore[misc]
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        worker_group.execute(use_network_of_node)
        super().on_start(worker_group, backend_config)


@dataclass
class GroupConfig(TorchConfig):
    """Ray Train's, on the network of the nodes."""

    @property
    def backend_cls(self) -> type:
        return _Backend
