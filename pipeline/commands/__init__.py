"""What a person asks of the whole workflow; the module of a command has a function of its name."""

COMMANDS = {
    "run": "Compute what is missing of a study and write its report.",
    "retry": "Forget the rows of a study that failed, and compute them again.",
    "plan": "Tell what a study will take: jobs, rows, network evaluations, storage.",
    "files": "List the files of others that a study needs, with their state, and fetch those with an open address.",
    "why": "Tell in words what would run, and because of which option, module or file.",
    "store": "List what the row store keeps, by study, and prune what no study needs.",
    "publish": "Make a generator out of trained weights: our own format, pictures, model card.",
}
