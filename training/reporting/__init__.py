"""What people read of a run: report, model card and plots."""
