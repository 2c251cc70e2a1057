"""Networks: maxout and wide output layers, the two-pathway network, the three cascades."""
