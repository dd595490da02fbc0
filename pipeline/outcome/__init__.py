"""What a run leaves for people: verdict, terminal, report, pictures."""
