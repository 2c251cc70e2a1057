"""How a network is trained, in plain values (params.yaml: train; every key is described in docs/params.md)."""

from dataclasses import dataclass

from brats_cascade.training.descent import Descent


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        seed: Of every random choice.
        steps: Of phase 1, or of the one phase.
        phase2_steps: Of phase 2; 0 leaves it out.
        checks: Validation rounds per phase.
        batch: Tiles or patches per step.
        descent: Optimiser, learning rate, momentum.
        tile: Side of a tile's window of outputs, pixels.
        class_weights: "slice", "cohort" or "none".
        weight_power: Balanced weights are raised to it.
        flip: Random left-right flips.
        intensity: Random shift and scale of each modality.
        procedure: "two_phase" (the paper's), or "single": one phase at the labels' natural frequencies, with class
            weights (the earlier work's).
        sampler: "tiles" or "patches".
        loss_on: With tiles: "brain" or "centres".
        patch_order: With patches: "random" or "slices".
        slice_epochs: With patches in the order of slices: passes through a slice before the next one.
        cascade: "frozen": CNN 1 is trained first and stays as it is; "joint": both CNNs are trained together.
        start_bias: Start with the softmax bias at the log of the label frequencies.
        checkpoint_steps: Steps between checkpoints.
        patience: Validation rounds without a better score that end a phase; 0 never.
    """

    seed: int
    steps: int
    phase2_steps: int
    checks: int
    batch: int
    descent: Descent
    tile: int = 48
    class_weights: str = "slice"
    weight_power: float = 1.0
    flip: bool = True
    intensity: float = 0.1
    procedure: str = "two_phase"
    sampler: str = "tiles"
    loss_on: str = "brain"
    patch_order: str = "random"
    slice_epochs: int = 5
    cascade: str = "frozen"
    start_bias: bool = False
    checkpoint_steps: int = 50
    patience: int = 0

    def __post_init__(self) -> None:
        """Refuses names that stand for nothing.

        Raises:
            ValueError: Names the field, what was expected and what was received.
        """
        known = {
            "procedure": ("two_phase", "single"),
            "sampler": ("tiles", "patches"),
            "loss_on": ("brain", "centres"),
            "patch_order": ("random", "slices"),
            "cascade": ("frozen", "joint"),
        }
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name}: expected one of {values}, received {getattr(self, name)!r}")
