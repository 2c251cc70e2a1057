"""Networks: maxout and wide output layers, the two-pathway network, the cascades, a U-Net, and their files."""
