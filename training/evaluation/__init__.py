"""What personalization does to each client, measured on the exported file."""

from fedp.training.evaluation.clients import evaluate_clients
from fedp.training.evaluation.report import write_report
from fedp.training.evaluation.results import (
    ClientResult,
    read_clients_csv,
    write_clients_csv,
)
from fedp.training.evaluation.run import evaluate
from fedp.training.evaluation.summary import Summary, summarize, write_summary_json

__all__ = [
    "ClientResult",
    "Summary",
    "evaluate",
    "evaluate_clients",
    "read_clients_csv",
    "summarize",
    "write_clients_csv",
    "write_report",
    "write_summary_json",
]
