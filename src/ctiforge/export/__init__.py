"""Stage 3: from an adapter to artefacts that others run: merged, text only, quantized, bundled, with a card."""
