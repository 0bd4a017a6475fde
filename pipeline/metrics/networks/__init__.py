"""The published networks behind the published metrics, from local files in their official formats.

This file imports nothing heavy, so that a study can name a network without waiting for torch.
"""

LOADERS = {
    "lpips": "pipeline.metrics.networks.lpips:load_lpips",
    "inception": "pipeline.metrics.networks.inception:load_inception",
    "simsiam": "pipeline.metrics.networks.simsiam:load_simsiam",
    "vggface2": "pipeline.metrics.networks.vggface2:load_vggface2",
}
"""Each takes (path, *, sha256, options) and returns a network of features; see `pipeline.metrics.features`."""
AS_PUBLISHED = {"inception": {"features": 64}}
"""Options of Vaeth et al. 2023, where they are not those that the field uses."""
FILES = (*LOADERS, "linear")
"""The keys of an entry that name files."""
