"""Studies and datasets: volumes, NIfTI, dataset layouts, the plan, and preprocessing with its exact way back."""
