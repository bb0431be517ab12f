"""The errors fedp raises on purpose; the command line prints each as one line."""


class FedpError(Exception):
    """Base of all errors that a user can mend.

    The message names the thing, what was found, what is allowed and what to do.

    Attributes:
        exit_code: of the command line: 1 for a failure, 2 for wrong usage.
    """

    exit_code = 1


class DataError(FedpError):
    """Examples cannot be used: a missing file, wrong shape, label or value."""


class ArtifactError(FedpError):
    """An artifact is damaged, foreign, or of a contract this runtime does not speak."""


class SigningKeyError(FedpError):
    """A key file is missing, in the way, or holds no Ed25519 key."""


class StateError(FedpError):
    """A state directory cannot be read, written, or belongs to another artifact."""


class RunError(FedpError):
    """A run directory is missing, incomplete, or in the way."""


class ExportError(FedpError):
    """A model cannot become an artifact: an unsupported layer, or failed parity."""


class MissingDependencyError(FedpError):
    """A verb needs a package that this install does not have."""
