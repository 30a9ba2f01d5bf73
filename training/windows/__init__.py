"""What churn should mean for a company: whom to ask about, how far ahead, and why."""
