"""What evaluations leave behind: the folder of one (`store`), its report, and several side by side (`compare`)."""
