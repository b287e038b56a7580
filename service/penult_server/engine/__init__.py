"""What computes: decoding, backbones, execution providers and the device thread."""
