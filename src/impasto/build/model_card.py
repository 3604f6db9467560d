"""What the model card of every trained network says; each system adds its own."""

from typing import Any

from omegaconf import DictConfig, OmegaConf


def common_card(cfg: DictConfig) -> dict[str, Any]:
    """Say of a network what every training says: its system, arguments, loss, data, experiment, seed and precision."""
    network: Any = OmegaConf.to_container(cfg.network, resolve=True)
    arguments = {key: value for key, value in network.items() if key not in ("_target_", "_partial_", "_convert_")}
    # ${data_root}/photos, and not where that is on this machine.
    data: Any = OmegaConf.to_container(cfg.data, resolve=False)
    further = {"unlabelled": data["unlabelled"]} if data.get("unlabelled") else {}
    train = data.get("train", data.get("root", data.get("urls")))
    return {
        "system": cfg.system_name,
        "network": {"class": network["_target_"].rsplit(".", 1)[1], **arguments},
        "loss": None if cfg.loss is None else OmegaConf.to_container(cfg.loss, resolve=False),
        "data": {"train": train, **further, "batch_size": cfg.data.batch_size},
        "experiment": cfg.name,
        "seed": cfg.seed,
        "precision": cfg.trainer.precision,
    }
