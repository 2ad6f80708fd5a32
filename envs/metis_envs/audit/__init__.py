"""What gives tasks away without looking: probes with ceilings, for every family, one's own included."""
