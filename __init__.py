"""On-device personalization: federated training, export, and a guarded runtime."""

__version__ = "0.1.0"
