"""What a fleet calls: batches of hypercalls as columns, one vCPU per call or per block of calls."""
