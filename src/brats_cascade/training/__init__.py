"""Training: samplers for the patch sets, class weights, losses, phases, checkpoints."""
