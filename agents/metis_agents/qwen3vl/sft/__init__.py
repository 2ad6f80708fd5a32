"""Supervised fine-tuning (SFT): what a cold start learns from, and how."""
