from pydantic import Field

from pipeline.infill.declared import Architecture


class VaeShape(Architecture):
    """The shape of the variational autoencoder that fills holes (Chang et al. 2019)."""

    kind = "vae"
    network = "pipeline.infill.vae:VaeInfill"

    channels: int = Field(64, ge=4, description="Channels at full resolution; 64 as published.")
    variance: bool = Field(
        True, description="Whether it tells how sure it is of each pixel, by which its training weighs errors."
    )
