"""Training corpora whose cleanliness anyone can re-check: build from records on disk, decontaminate, audit, describe."""
