"""The networks and generators of a job, on its device: each is loaded when it is first asked for, and once."""

from collections.abc import Mapping
from typing import Any

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import Classifier
from pipeline.diffusion.autoencoder import Autoencoder
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.load import load_generator
from pipeline.diffusion.roles import check_same_size, check_unconditional
from pipeline.diffusion.unet import NoisyClassifier
from pipeline.stages.common import Job


class Networks:
    """What a stage's options name. options: with `networks`, `generators` and `seed`. account: of the job.

    known: what each was identified as.
    """

    def __init__(self, options: Any, account: Job, known: Mapping[str, Any]):
        self.options = options
        self.account = account
        self.known = known
        self.loaded: dict[str, Any] = {}

    def classifier(self, name: str) -> Classifier:
        if name not in self.loaded:
            with self.account.clock("load"):
                entry, known = self.options.networks[name], self.known[name]
                network = load_classifier(name, entry, seed=self.options.seed, identity=known)
                self.loaded[name] = self.account.place(network)
        return self.loaded[name]

    def denoiser(self, name: str) -> Denoiser:
        """The diffusion model of that name. Raises UserError for one that must be told a class."""
        if name not in self.loaded:
            with self.account.clock("load"):
                denoiser = load_generator(name, self.options.generators[name], "unet")
                self.account.place(denoiser.network)
            check_unconditional(f"generator '{name}'", denoiser.network.shape)
            self.loaded[name] = denoiser
        return self.loaded[name]

    def autoencoder(self, name: str) -> Autoencoder:
        """The diffusion autoencoder of that name."""
        if name not in self.loaded:
            with self.account.clock("load"):
                autoencoder = load_generator(name, self.options.generators[name], "autoencoder")
                self.account.place(autoencoder.network)
                self.loaded[name] = autoencoder
        return self.loaded[name]

    def guide(self, name: str, denoiser: Denoiser) -> NoisyClassifier:
        """The classifier of noised images of that name. Raises UserError where it takes images of another size."""
        if (key := f"guide {name}") not in self.loaded:
            with self.account.clock("load"):
                guide = load_generator(name, self.options.generators[name], "noisy-classifier")
                self.loaded[key] = self.account.place(guide)
        check_same_size(f"guide '{name}'", self.loaded[key].shape, denoiser.network.shape)
        return self.loaded[key]
