"""All that knows Wan2.2 and its descendants: tensor names, weights, VAE and text encoder."""
