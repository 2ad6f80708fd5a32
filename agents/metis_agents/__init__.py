"""Who acts and who learns: scripted baselines, evaluation, reward-design comparison, HDPO."""
