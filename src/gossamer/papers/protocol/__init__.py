"""What all papers share: claims, experiments, verdicts, evidence and the ledger; no paper of its own."""
