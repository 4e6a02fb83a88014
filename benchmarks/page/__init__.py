"""How soon the ops page is there, and how far what it shows is behind what happened."""
