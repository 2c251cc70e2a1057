"""Training: samplers over the patch sets, class weights, losses, phases, checkpoints."""
