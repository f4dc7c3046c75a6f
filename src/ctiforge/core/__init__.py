"""Nouns that every stage shares: identifiers, advisories, weaknesses, errors, files and manifests."""
